"""Names of the images in a layout: annotations in its ``index.json``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ocibuild.oci import Index, mediatypes
from ocibuild.store import REF_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocibuild.oci import Descriptor, Reference

CONTAINERD_NAME: Final = "io.containerd.image.name"
"""The annotation with the full name: containerd, docker and podman read it; BuildKit writes it too."""


def named(descriptor: Descriptor, names: Sequence[Reference]) -> tuple[Descriptor, ...]:
    """Return the descriptors that give an image these names: one for each, or one without a name.

    ``org.opencontainers.image.ref.name`` is the tag alone, which is how skopeo and umoci ask for an image of a layout
    (``oci:DIR:TAG``).
    """
    hidden = (REF_NAME, CONTAINERD_NAME)
    kept = {key: value for key, value in descriptor.annotations.items() if key not in hidden}
    bare = replace(descriptor, annotations=kept)
    return tuple(bare.with_annotations(_annotations(name)) for name in dict.fromkeys(names)) or (bare,)


def distinct(entries: Sequence[Descriptor]) -> list[Descriptor]:
    """Return the entries of several images: where two would have one tag, the full names stand for it."""
    images: dict[str, set[str]] = {}
    for entry in entries:
        images.setdefault(entry.annotations.get(REF_NAME, ""), set()).add(entry.digest)
    return [
        entry.with_annotations({REF_NAME: entry.annotations[CONTAINERD_NAME]})
        if len(images[entry.annotations.get(REF_NAME, "")]) > 1 and CONTAINERD_NAME in entry.annotations
        else entry
        for entry in entries
    ]


def tagged(descriptor: Descriptor, tag: str | None) -> Descriptor:
    """Return the descriptor that gives an image this tag of a layout, as skopeo and umoci write it, or no name."""
    return descriptor.with_annotations({REF_NAME: tag}) if tag else descriptor


def index_of(manifests: Sequence[Descriptor]) -> bytes:
    """Return the ``index.json`` of a layout that holds these."""
    return Index(mediatypes.OCI_INDEX, tuple(manifests)).to_bytes()


def merged(old: Sequence[Descriptor], new: Sequence[Descriptor]) -> tuple[Descriptor, ...]:
    """Return the entries of a layout after ``new`` ones came: a tag, or an image without one, stands there once."""
    tags = {entry.annotations.get(REF_NAME) for entry in new} - {None}
    digests = {entry.digest for entry in new}

    def stays(entry: Descriptor) -> bool:
        tag = entry.annotations.get(REF_NAME)
        return tag not in tags if tag is not None else entry.digest not in digests

    return (*filter(stays, old), *new)


def name_of(entry: Descriptor) -> str | None:
    """Return the name that an entry of ``index.json`` carries, the full one where there is one."""
    return entry.annotations.get(CONTAINERD_NAME) or entry.annotations.get(REF_NAME) or None


def _annotations(name: Reference) -> dict[str, str]:
    full = {CONTAINERD_NAME: str(name)}
    return {REF_NAME: name.tag, **full} if name.tag else full
