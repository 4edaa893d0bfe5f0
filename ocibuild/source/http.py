"""Files behind URLs: fetched into the store, and not again while the server says that they are the same."""

from __future__ import annotations

import os
import re
from base64 import b64encode
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from ocibuild.errors import RegistryError, SourceError
from ocibuild.fs import Root
from ocibuild.graph import shown_url
from ocibuild.registry import Request
from ocibuild.registry.http.retry import RETRYABLE
from ocibuild.store import Download

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from ocibuild.oci import Digest
    from ocibuild.registry import Transport
    from ocibuild.registry.http.connections import Stream
    from ocibuild.store import ActiveSnapshot, Store

    Progress: TypeAlias = Callable[[int, int | None], None]

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 10
_PIECE = 1 << 20  # bytes
_ETAG = re.compile(r"[!-~]+")  # as RFC 9110, section 8.8.3, and also without quotes
_SETTLED = 60  # seconds that a file must be old for its time to tell it from the next one (RFC 9110, 8.8.2.2)


class HttpSource:
    """Finds and brings files behind URLs; safe to use from threads."""

    def __init__(self, transport: Transport, store: Store) -> None:
        self._transport = transport
        self._store = store

    def find(self, url: str, checksum: Digest | None, progress: Progress) -> Download:
        """Return what ``url`` gives; its blob is in the store by then.

        Where it was fetched before, the server is only asked whether it has changed; where there is a ``checksum`` and
        the store has such a file, nobody is asked. ``progress`` hears the bytes so far and in all. Raises SourceError.
        """
        _check(url)
        if checksum is not None:
            return self._pinned(checksum) or self._fetch(url, checksum, None, progress)
        return self._fetch(url, None, self._known(url), progress)

    def put(self, download: Download, name: str, active: ActiveSnapshot) -> None:
        """Make the file ``name`` in ``active``: for its owner alone, and with the time that the server gave, else 0."""
        os.chmod(active.upper, 0o755)
        modified = _seconds(download.modified) or 0
        with self._store.blobs.open(download.digest) as blob, Root.open(active.upper) as root:
            fd = root.open_file(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(fd, "wb") as file:
                while piece := blob.read(_PIECE):
                    file.write(piece)
                file.flush()
                os.fchmod(fd, 0o600)
                os.utime(fd, (modified, modified))

    def stop(self) -> None:
        """End what is under way; safe to repeat."""
        self._transport.stop()

    def _pinned(self, checksum: Digest) -> Download | None:
        known = self._known(str(checksum))
        if known is None and self._store.blobs.has(checksum):
            return Download(checksum)
        return known

    def _known(self, name: str) -> Download | None:
        known = self._store.downloads.get(name)
        return known if known and self._store.blobs.has(known.digest) else None

    def _fetch(self, url: str, checksum: Digest | None, known: Download | None, progress: Progress) -> Download:
        retries = self._transport.retries()
        while True:
            try:
                with self._open(url, known) as stream:
                    if stream.status not in RETRYABLE:
                        return self._receive(stream, url, checksum, known, progress)
                    later = stream.headers.get("Retry-After")
                    if not retries.wait(later):
                        raise _refused(url, stream.status)
            except RegistryError as error:
                if not (error.retryable and retries.wait()):
                    raise SourceError(error.message, remedy=error.remedy) from error

    def _receive(
        self, stream: Stream, url: str, checksum: Digest | None, known: Download | None, progress: Progress
    ) -> Download:
        if known and (stream.status == HTTPStatus.NOT_MODIFIED or _is_same(stream, known)):
            return known
        if not 200 <= stream.status < 300:
            raise _refused(url, stream.status)
        found = self._save(stream, url, checksum, progress)
        self._store.downloads.put(url, found)
        if checksum is not None:
            self._store.downloads.put(str(checksum), found)
        return found

    def _save(self, stream: Stream, url: str, checksum: Digest | None, progress: Progress) -> Download:
        length = stream.headers.get("Content-Length", "")
        total = int(length[:19]) if length.isascii() and length.isdigit() else None
        with self._store.blobs.writer() as blob:
            hasher = checksum.hasher() if checksum else None
            while piece := stream.read(_PIECE):
                blob.write(piece)
                if hasher:
                    hasher.update(piece)
                progress(blob.size, total)
            if total is not None and blob.size != total:
                raise RegistryError(f"{shown_url(url)}: the transfer broke after {blob.size} bytes", retryable=True)
            if checksum and hasher and hasher.hexdigest() != checksum.encoded:
                raise SourceError(
                    f"{shown_url(url)}: its digest is {checksum.algorithm}:{hasher.hexdigest()}, not {checksum}",
                    remedy="the file is another one now, or the checksum is wrong",
                )
            digest = blob.digest
        return _described(digest, stream)

    def _open(self, url: str, known: Download | None) -> Stream:
        """Send the request, follow where it leads, and return the response with its body unread."""
        subject = shown_url(url)
        headers = {**_validators(known), **_authorization(url)}
        for _ in range(_MOST_REDIRECTS + 1):
            stream = self._transport.send(Request("GET", _bare(url), subject, headers))
            if stream.status not in _REDIRECTS:
                return stream
            stream.drain()
            target = _target(url, stream.headers.get("Location", ""), subject)
            if _origin(target) != _origin(url):
                headers = _validators(known)
            url = target
        raise SourceError(f"{subject}: more than {_MOST_REDIRECTS} redirects")


def _check(url: str) -> None:
    try:
        _, host, _ = _origin(url)
    except ValueError:
        host = ""
    if not host:
        raise SourceError("this URL makes no sense: it has no host, or a wrong port", remedy="check the URL")


def _bare(url: str) -> str:
    """Return ``url`` as it is asked for: who asks stands in a header."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query, ""))


def _authorization(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    if parts.username is None:
        return {}
    secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    return {"Authorization": f"Basic {b64encode(secret).decode()}"}


def _validators(known: Download | None) -> dict[str, str]:
    """Return the headers that ask only for what is not known (RFC 9110, section 13.1)."""
    if known is None:
        return {}
    if known.etag:
        return {"If-None-Match": known.etag}
    return {"If-Modified-Since": known.modified} if known.settled else {}


def _is_same(stream: Stream, known: Download) -> bool:
    """Tell whether a server that sends the file again says that it is the same."""
    return stream.status == HTTPStatus.OK and bool(known.etag) and stream.headers.get("ETag") == known.etag


def _described(digest: Digest, stream: Stream) -> Download:
    etag, modified = (stream.headers.get(name, "") for name in ("ETag", "Last-Modified"))
    etag = etag if _ETAG.fullmatch(etag) else ""  # else no request could hold it
    then, now = _seconds(modified), _seconds(stream.headers.get("Date", ""))
    return Download(digest, etag, modified, then is not None and now is not None and now - then >= _SETTLED)


def _seconds(date: str) -> int | None:
    """Return the time of a header in seconds since 1970, None where it makes no sense."""
    from email.utils import parsedate_to_datetime

    try:
        return int(parsedate_to_datetime(date).timestamp())
    except (ValueError, OverflowError):
        return None


def _target(source: str, location: str, subject: str) -> str:
    try:
        target = urljoin(_bare(source), location)
        scheme, host, _ = _origin(target)
    except ValueError as error:
        raise SourceError(f"{subject}: it leads to what is not a URL") from error
    if scheme not in ("http", "https") or not host:
        raise SourceError(f"{subject}: it leads to {scheme}:, which is not HTTP")
    return target


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _refused(url: str, status: int) -> SourceError:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return SourceError(f"{shown_url(url)}: {status} {phrase}".rstrip(), remedy="check the URL")
