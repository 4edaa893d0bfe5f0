"""Named contexts, as they are given on the command line: ``NAME=VALUE``."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import field
from typing import TYPE_CHECKING, Self

from ocibuild.dockerfile import GitContext, HttpContext, ImageContext, LocalFolder
from ocibuild.errors import InvalidDigest, InvalidReference, UsageError
from ocibuild.graph import GitReference
from ocibuild.oci import Digest, Reference
from ocibuild.source import LocalContext
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocibuild.dockerfile import NamedContext
    from ocibuild.oci import Platform
    from ocibuild.store import Blobs, StoredImage

_IMAGE, _LAYOUT, _TARGET = "docker-image://", "oci-layout://", "target:"


@dataclass(frozen=True, slots=True)
class Layout:
    """An image of a layout at ``path``: with the digest, else with the tag, else the one that there is."""

    path: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what ``PATH``, ``PATH:TAG`` or ``PATH@DIGEST`` means; raise InvalidDigest."""
        named, at, digest = text.partition("@")
        path, colon, tag = named.rpartition(":")
        if not colon or "/" in tag:
            path, tag = named, ""
        return cls(path, tag or None, Digest.parse(digest) if at else None)

    def load(self, blobs: Blobs, platform: Platform) -> StoredImage:
        """Put it into the store and return it; raises what ``archive.load_layout`` does."""
        from ocibuild.archive import load_layout

        return load_layout(self.path, blobs, tag=self.tag, digest=self.digest, platform=platform)

    def __str__(self) -> str:
        suffix = f"@{self.digest}" if self.digest else f":{self.tag}" if self.tag else ""
        return f"{_LAYOUT}{self.path}{suffix}"


@dataclass(slots=True)
class NamedContexts:
    """The named contexts of a build: what each is, the folders, open, and the layouts. A context manager.

    An image of a layout has a reference that no registry has, so that it goes the way of every other image.
    """

    kinds: dict[str, NamedContext] = field(default_factory=dict)
    folders: dict[str, LocalContext] = field(default_factory=dict)
    layouts: dict[Reference, Layout] = field(default_factory=dict)
    _cleanup: ExitStack = field(default_factory=ExitStack)

    @classmethod
    def open(cls, values: Mapping[str, str]) -> Self:
        """Open the contexts; raise UsageError, or SourceError for a folder that cannot be used."""
        contexts = cls()
        try:
            for name, value in values.items():
                contexts._add(_normal_name(name), value)
        except BaseException:
            contexts.close()
            raise
        return contexts

    def close(self) -> None:
        """Close the folders; safe to repeat."""
        self._cleanup.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _add(self, name: str, value: str) -> None:
        try:
            self.kinds[name] = self._kind(name, value)
        except (InvalidReference, InvalidDigest, ValueError) as error:
            message = error.args[0] if error.args else ""
            raise UsageError(f"--build-context {name}: {message}") from error

    def _kind(self, name: str, value: str) -> NamedContext:
        if value.startswith(_IMAGE):
            return ImageContext(Reference.parse(value.removeprefix(_IMAGE)))
        if value.startswith(_LAYOUT):
            return self._layout(name, value)
        if value.startswith(_TARGET):
            raise UsageError(f"--build-context {name}: {value!r} is a target of a bake file, which is not supported")
        git = GitReference.parse(value)
        if git is not None:
            return GitContext(git)
        if value.startswith(("http://", "https://")):
            return HttpContext(value)
        self.folders[name] = self._cleanup.enter_context(LocalContext.open(value, what=f"the build context {name!r}"))
        return LocalFolder()

    def _layout(self, name: str, value: str) -> ImageContext:
        layout = Layout.parse(value.removeprefix(_LAYOUT))
        named = Reference.parse(name)
        reference = Reference("oci-layout", named.path, layout.tag or named.tag, layout.digest)
        self.layouts[reference] = layout
        return ImageContext(reference)


def _normal_name(name: str) -> str:
    """Return the name as a FROM means it: ``docker.io/library/alpine:latest`` is ``alpine``."""
    try:
        return Reference.parse(name).familiar().removesuffix(":latest")
    except InvalidReference as error:
        raise UsageError(
            f"--build-context {name!r}: not a name for a context", remedy="it is like the name of an image"
        ) from error
