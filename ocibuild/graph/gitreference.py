"""References to what is in a Git repository, as users type them: ``https://host/repo.git#ref:directory``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Self

from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping
    from urllib.parse import SplitResult

_SCHEMES = ("http", "https", "ssh", "git")
_SCHEME = r"[a-zA-Z0-9]+://"
_SCP = r"(?P<remote>[a-zA-Z0-9_-]+@[a-zA-Z0-9.-]+:[^?#\n]*)(?:\?(?P<query>[^#\n]*))?(?:#(?P<fragment>[^\n]*))?"
_GITHUB = "github.com/"
_BAD_ESCAPE = "%(?![0-9A-Fa-f]{2})"
_KEPT = "%/:@!$&'()*+,;=~[]"  # what a path may hold as it is (RFC 3986, section 3.3)
_FLAGS = ("submodules", "keep-git-dir")
_PARAMETERS = ("ref", "tag", "branch", "subdir", "checksum", "commit", *_FLAGS)
_TRUE = ("1", "t", "T", "TRUE", "true", "True")  # as Go's strconv.ParseBool
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


@dataclass(frozen=True, slots=True)
class GitReference:
    """A repository, and what of it is meant.

    ``remote`` is what the git program is given. ``ref`` is a branch, a tag or a commit, empty for the remote's HEAD;
    ``subdirectory`` is relative to the top, empty for all. ``commit`` is the hash, or its beginning, that the reference
    must lead to. The last two are None where the reference does not say.
    """

    remote: str
    ref: str = ""
    subdirectory: str = ""
    commit: str | None = None
    keep_git_dir: bool | None = None
    submodules: bool | None = None

    @classmethod
    def parse(cls, text: str, *, shorthand: bool = False) -> Self | None:
        """Return what ``text`` refers to; None where it is no Git reference, but perhaps a path or a URL of a file.

        A reference is ``ssh://…``, ``git://…``, ``user@host:path``, or ``http(s)://…`` with a path that ends in
        ``.git``; with ``shorthand`` also ``github.com/…``, which build contexts may be. ``#REF:DIRECTORY`` and query
        parameters say the rest. Raises ValueError for parameters that are unknown or contradict each other.
        """
        if shorthand and text.startswith(_GITHUB):
            text = f"https://{text}"
            return cls._from_url(text)
        if re.match(_SCHEME, text):
            return None if _is_file(text) else cls._from_url(text)
        scp = re.fullmatch(_SCP, text)
        if scp is None:
            return None
        return cls._with_parameters(scp["remote"], scp["fragment"] or "", scp["query"] or "")

    @classmethod
    def _from_url(cls, text: str) -> Self | None:
        from urllib.parse import quote, unquote

        url = _split(text)
        if url is None or url.scheme not in _SCHEMES:
            return None
        remote = f"{url.scheme}://{url.netloc}{quote(url.path, safe=_KEPT)}"
        return cls._with_parameters(remote, unquote(url.fragment), url.query)

    @classmethod
    def _with_parameters(cls, remote: str, fragment: str, query: str) -> Self:
        ref, _, subdirectory = fragment.partition(":")
        asked = _parameters(query)
        commit = _agreed("commit", asked.get("checksum"), asked.get("commit"))
        if "branch" in asked and "tag" in asked:
            raise ValueError("'branch' and 'tag' exclude each other")
        ref = _agreed("ref", ref, asked.get("ref"), _full("tag", asked), _full("branch", asked))
        return cls(
            remote,
            ref or commit,
            _agreed("subdir", subdirectory, asked.get("subdir")),
            commit or None,
            _flag("keep-git-dir", asked),
            _flag("submodules", asked),
        )

    @property
    def shown(self) -> str:
        """The remote as it may be shown to anybody: without the user and password of a URL."""
        return re.sub(r"^([a-z]+://)[^/]*@", r"\1", self.remote)


def _is_file(text: str) -> bool:
    """Tell whether a URL is that of a file, not of a repository."""
    from urllib.parse import unquote

    url = _split(text)
    return url is None or (url.scheme in ("http", "https") and not unquote(url.path).endswith(".git"))


def _split(text: str) -> SplitResult | None:
    """Return the parts of a URL, None where it is none."""
    from urllib.parse import urlsplit

    if re.search(r"[\x00-\x1f\x7f]", text) or re.search(_BAD_ESCAPE, text.partition("?")[0]):
        return None
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        return None
    return url


def _parameters(query: str) -> Mapping[str, str]:
    from urllib.parse import parse_qsl

    asked: dict[str, str] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in _PARAMETERS:
            raise ValueError(f"unknown query parameter {key!r}: there are {', '.join(_PARAMETERS)}")
        if key in asked:
            raise ValueError(f"the query parameter {key!r} is given twice")
        if not value and key not in _FLAGS:
            raise ValueError(f"the query parameter {key!r} has no value")
        asked[key] = value
    return asked


def _full(kind: str, asked: Mapping[str, str]) -> str | None:
    """Return the full name of the tag or branch that is asked for."""
    prefix = {"tag": "refs/tags/", "branch": "refs/heads/"}[kind]
    return prefix + asked[kind].removeprefix(prefix) if kind in asked else None


def _agreed(what: str, *values: str | None) -> str:
    """Return the one value that is given, empty where none is."""
    given = list(dict.fromkeys(filter(None, values)))
    if len(given) > 1:
        raise ValueError(f"the {what} is both {given[0]!r} and {given[1]!r}")
    return given[0] if given else ""


def _flag(name: str, asked: Mapping[str, str]) -> bool | None:
    value = asked.get(name)
    if value is None:
        return None
    if value and value not in _TRUE + _FALSE:
        raise ValueError(f"the query parameter {name!r} is {value!r}: it is true or false")
    return value not in _FALSE
