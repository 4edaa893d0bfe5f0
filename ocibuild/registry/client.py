"""The client of registries: manifests and blobs, read from mirrors or the origin, written to the origin."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from ocibuild.errors import (
    DigestMismatch,
    InvalidDigest,
    InvalidDocument,
    NotFound,
    RegistryError,
    UnsupportedMediaType,
)
from ocibuild.oci import Descriptor, Digest, mediatypes, parse_manifest
from ocibuild.oci.limits import MANIFEST_LIMIT
from ocibuild.registry.blobs.download import Download
from ocibuild.registry.blobs.foreign import foreign_pieces
from ocibuild.registry.blobs.upload import Upload
from ocibuild.registry.http.messages import failure
from ocibuild.registry.http.retry import RetryPolicy
from ocibuild.registry.http.transport import Transport
from ocibuild.registry.identity.auth import Authorizer
from ocibuild.registry.identity.login import check_login
from ocibuild.registry.quota import Quota
from ocibuild.registry.referrers import attach_by_tag, list_referrers
from ocibuild.registry.session import RepositorySession
from ocibuild.registry.slots import Slots

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping
    from typing import TypeVar

    from ocibuild.oci import BlobReader, Reference
    from ocibuild.registry.blobs.streamed import GrowingBlob
    from ocibuild.registry.configuration.config import Endpoint, RegistryConfig
    from ocibuild.registry.http.connections import Stream
    from ocibuild.registry.http.messages import Answer
    from ocibuild.registry.identity.credentials import Credential, Credentials

    Result = TypeVar("Result")

_PASSED_OVER = (RegistryError, DigestMismatch, InvalidDocument, UnsupportedMediaType)
"""What makes us go from a mirror to the next server."""
_ACCEPT = {"Accept": ", ".join(sorted(mediatypes.MANIFESTS | mediatypes.INDEXES))}


class Registry:
    """A client for every registry that the configuration knows; a context manager, safe to use from threads.

    Reading asks the mirrors in order, then the origin; the origin's error is the one that is raised. A mirror that
    cannot be reached is not asked again. ``chunk_size`` (bytes) makes every upload a chunked one. As many blobs are on
    their way at once as the configuration allows a registry. ``warn`` hears, from any thread, what a user should know.
    """

    def __init__(
        self,
        config: RegistryConfig,
        credentials: Credentials,
        *,
        policy: RetryPolicy | None = None,
        chunk_size: int | None = None,
        warn: Callable[[str], None] = lambda _message: None,
    ) -> None:
        self._config = config
        self._credentials = credentials
        self._chunk_size = chunk_size
        self._policy = policy or RetryPolicy()
        self._transport = Transport(config, self._policy)
        self._authorizers: dict[Endpoint, Authorizer] = {}
        self._avoided: set[Endpoint] = set()
        self._lock = threading.Lock()  # guards the two above
        self._quota = Quota(warn)
        self._slots = Slots(config, self._transport.check_stopped)

    @property
    def policy(self) -> RetryPolicy:
        """How patient it is."""
        return self._policy

    @property
    def transport(self) -> Transport:
        """What sends its requests, for those that are not to a registry."""
        return self._transport

    def manifest(self, reference: Reference) -> tuple[bytes, Descriptor]:
        """Return the manifest or index that ``reference`` names, as it was sent, and its descriptor.

        It is verified against the digest of the reference, else against what the registry calls it. Raises NotFound,
        Unauthorized, RegistryError, DigestMismatch; UnsupportedMediaType for Docker's schema 1.
        """
        return self._from_any(reference, lambda session: _fetch_manifest(session, reference, self._quota))

    def may_have(self, reference: Reference) -> bool:
        """Tell whether there may be a manifest of this name: False only where the registry says that there is none.

        Where pulls are counted, this is none: Docker Hub counts requests for manifests, and not for their headers.
        """
        try:
            self._from_any(reference, lambda session: _check_missing(session, reference))
        except NotFound:
            return False
        return True

    def head(self, reference: Reference) -> Descriptor | None:
        """Return the descriptor of what ``reference`` names, without fetching it.

        None where the registry does not tell: it has no such manifest, does not do HEAD, or leaves a header out.
        """
        return self._from_any(reference, lambda session: _head_manifest(session, reference, self._quota))

    def blob(
        self, reference: Reference, descriptor: Descriptor, at: int = 0, end: int | None = None
    ) -> Generator[bytes, None, None]:
        """Yield a blob from the byte ``at`` to ``end``, else its own, in order, in pieces of at most a mebibyte.

        A transfer that breaks is taken up where it ended, at the next server if there is one. The digest is not
        checked here: who reads it does. A foreign layer that the registry does not have comes from its URLs.
        """
        subject = f"{reference}: {descriptor.digest}"
        download = Download(subject, descriptor, at, end)
        for session in self._sessions(reference):
            retries = None if session.endpoint.is_mirror else session.retries()
            try:
                with self._slots.take(session.endpoint):
                    yield from download.pieces(blob_opener(session.about(descriptor.digest), descriptor), retries)
            except NotFound:
                if session.endpoint.is_mirror:
                    continue
                if descriptor.media_type not in mediatypes.NONDISTRIBUTABLE:
                    raise
                plain = self._config.origin(reference.domain).http
                yield from foreign_pieces(self._transport, download, descriptor, str(reference), plain_http=plain)
            except _PASSED_OVER as error:
                if not session.endpoint.is_mirror:
                    raise
                self._note(session.endpoint, error)
                continue
            return

    def has_place(self, reference: Reference) -> bool:
        """Tell whether one more blob, or a part of one, may come from the first server at this moment."""
        return self._slots.has_free(next(self._sessions(reference)).endpoint)

    def distrust_mirrors(self, reference: Reference) -> bool:
        """Ask no mirror of this registry any more: one gave what it should not; False where there is none to ask."""
        with self._lock:
            mirrors = {mirror for mirror in self._config.mirrors(reference.domain) if mirror not in self._avoided}
            self._avoided |= mirrors
        return bool(mirrors)

    def blob_exists(self, reference: Reference, digest: Digest) -> bool:
        """Tell whether the origin has the blob in the repository of ``reference``; asks for the right to push."""
        session = self._session(self._config.origin(reference.domain), reference, push=True).about(digest)
        answer = session.ask("HEAD", session.url(f"blobs/{digest}"))
        if answer.status in (401, 403):
            raise failure(answer, session.subject)
        return answer.status == 200

    def upload_blob(
        self,
        reference: Reference,
        descriptor: Descriptor,
        open_at: Callable[[int], BlobReader],
        progress: Callable[[int], None],
        *,
        mount_from: str | None = None,
    ) -> None:
        """Send a blob that the repository does not have. Idempotent.

        ``open_at`` gives the blob from an offset on, once for each request; what it returns is closed here.
        ``mount_from`` is the path of a repository of the same registry that may have it. ``progress`` is told how many
        bytes of the blob are sent; the number falls where some are sent again.
        """
        endpoint = self._config.origin(reference.domain)
        session = self._session(endpoint, reference, push=True)
        with self._slots.take(endpoint, push=True):
            Upload(session, descriptor, open_at, progress).run(self._chunk_size, mount_from)
        progress(descriptor.size)

    def stream_blob(self, reference: Reference, blob: GrowingBlob) -> Digest:
        """Send a blob to a repository while it is being made, and return its digest; see ``blobs.streamed``."""
        from ocibuild.registry.blobs.streamed import stream_blob

        endpoint = self._config.origin(reference.domain)
        session = self._session(endpoint, reference, push=True)
        with self._slots.take(endpoint, push=True):
            return stream_blob(session, blob)

    def take_blob(self, reference: Reference, descriptor: Descriptor, source: str) -> bool:
        """Let a registry take a blob from its repository ``source``; False where it does not. Raises RegistryError."""
        session = self._session(self._config.origin(reference.domain), reference, push=True)
        return Upload(session, descriptor, _no_bytes, lambda _done: None).take(source)

    def push_manifest(self, reference: Reference, data: bytes, media_type: str) -> Digest:
        """Put a manifest under the tag of ``reference`` (else under its digest) and return its digest. Idempotent.

        Raises DigestMismatch where the registry understood other bytes than were sent.
        """
        digest = Digest.of(data) if reference.digest is None else reference.digest
        session = self._session(self._config.origin(reference.domain), reference, push=True)
        url = session.url(f"manifests/{reference.tag or digest}")
        answer = session.ask("PUT", url, headers={"Content-Type": media_type}, body=data)
        if answer.status not in (200, 201, 202):
            raise failure(answer, f"{session.subject}: upload of the manifest")
        _check_digest(data, answer.headers.get("Docker-Content-Digest"), session.subject)
        if "OCI-Subject" not in answer.headers:
            attach_by_tag(session, Descriptor(media_type, digest, len(data)), data)
        return digest

    def referrers(self, reference: Reference, artifact_type: str | None = None) -> tuple[Descriptor, ...]:
        """Return the manifests about the one that ``reference`` names by digest, of one type if asked for.

        Raises RegistryError; a registry without the API is asked for the tag that stands in for it.
        """
        if reference.digest is None:
            raise AssertionError(f"{reference} has no digest")
        digest = reference.digest
        return self._from_any(reference, lambda session: list_referrers(session, digest, artifact_type))

    def check_login(self, domain: str, credential: Credential) -> Credential:
        """Return what to keep for the registry ``domain``, after it has taken ``credential``.

        That is a refresh token where its token server gives one. Raises Unauthorized, RegistryError.
        """
        return check_login(self._config.origin(domain), credential, self._transport, self._config)

    def parallel(self, reference: Reference) -> int:
        """Return how many blobs may be on their way at once."""
        return self._config.host(self._config.origin(reference.domain).host).parallel

    def stop(self) -> None:
        """End everything that other threads do here, which raises Interrupted or RegistryError there."""
        self._transport.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _from_any(self, reference: Reference, work: Callable[[RepositorySession], Result]) -> Result:
        """Return what ``work`` gives at the first server that does not fail; the origin's error is raised."""
        *mirrors, origin = self._sessions(reference)
        for session in mirrors:
            try:
                return work(session)
            except _PASSED_OVER as error:
                self._note(session.endpoint, error)
        return work(origin)

    def _sessions(self, reference: Reference) -> Iterator[RepositorySession]:
        """Yield the servers to ask, the origin last."""
        for mirror in self._config.mirrors(reference.domain):
            if mirror not in self._avoided:
                yield self._session(mirror, reference, push=False)
        yield self._session(self._config.origin(reference.domain), reference, push=False)

    def _note(self, mirror: Endpoint, error: Exception) -> None:
        if isinstance(error, RegistryError) and error.status == 0:
            with self._lock:
                self._avoided.add(mirror)

    def _session(self, endpoint: Endpoint, reference: Reference, *, push: bool) -> RepositorySession:
        with self._lock:
            authorizer = self._authorizers.get(endpoint)
            if authorizer is None:
                authorizer = Authorizer(endpoint, self._credentials, self._transport, self._config)
                self._authorizers[endpoint] = authorizer
        return RepositorySession(
            endpoint, reference.path, self._transport, authorizer, push=push, subject=str(reference)
        )


def _no_bytes(_offset: int) -> BlobReader:
    raise AssertionError("no byte of a blob is sent that the registry takes from itself")


def blob_opener(session: RepositorySession, descriptor: Descriptor) -> Callable[[Mapping[str, str]], Stream]:
    """Return what asks a server for a blob, with some headers more."""
    return lambda headers: session.open(session.url(f"blobs/{descriptor.digest}"), headers)


def _fetch_manifest(session: RepositorySession, reference: Reference, quota: Quota) -> tuple[bytes, Descriptor]:
    url = session.url(f"manifests/{reference.digest or reference.tag}")
    answer = session.ask("GET", url, headers=_ACCEPT, limit=MANIFEST_LIMIT)
    quota.note(session.endpoint.host, answer.headers)
    if answer.status != 200:
        raise failure(answer, session.subject)
    promised = reference.digest or answer.headers.get("Docker-Content-Digest")
    digest = _check_digest(answer.body, promised, session.subject)
    return answer.body, Descriptor(_media_type(answer, session.subject), digest, len(answer.body))


def _check_missing(session: RepositorySession, reference: Reference) -> None:
    """Raise NotFound where there is no such manifest; whatever else is wrong, who asks for it will hear."""
    answer = session.ask("HEAD", session.url(f"manifests/{reference.digest or reference.tag}"), headers=_ACCEPT)
    if answer.status == 404:
        raise failure(answer, session.subject)


def _head_manifest(session: RepositorySession, reference: Reference, quota: Quota) -> Descriptor | None:
    url = session.url(f"manifests/{reference.digest or reference.tag}")
    answer = session.ask("HEAD", url, headers=_ACCEPT)
    quota.note(session.endpoint.host, answer.headers)
    digest = answer.headers.get("Docker-Content-Digest")
    length = answer.headers.get("Content-Length", "")
    media_type = _content_type(answer)
    known = mediatypes.is_manifest(media_type) or mediatypes.is_index(media_type)
    if answer.status != 200 or not digest or not length.isdigit() or not known:
        return None
    return Descriptor(media_type, _parse_digest(digest, session.subject), int(length))


def _check_digest(data: bytes, promised: str | None, subject: str) -> Digest:
    """Return the digest of ``data``, the promised one where there is one; raises DigestMismatch, InvalidDigest."""
    if promised is None:
        return Digest.of(data)
    digest = _parse_digest(promised, subject)
    hasher = digest.hasher()
    hasher.update(data)
    if hasher.hexdigest() != digest.encoded:
        raise DigestMismatch(f"{subject}: the manifest is not what its digest {digest} promises")
    return digest


def _parse_digest(text: str, subject: str) -> Digest:
    try:
        return Digest.parse(text)
    except InvalidDigest as error:
        raise RegistryError(f"{subject}: the registry gives a wrong digest: {error.message}") from error


def _content_type(answer: Answer) -> str:
    return answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _media_type(answer: Answer, subject: str) -> str:
    """Return the media type of a manifest: what the registry says where that makes sense, else what it looks like."""
    media_type = _content_type(answer)
    if media_type in mediatypes.SCHEMA1:
        raise UnsupportedMediaType(
            f"{subject}: Docker's image manifest schema 1 is not supported", remedy="push it with a newer docker"
        )
    if mediatypes.is_manifest(media_type) or mediatypes.is_index(media_type):
        return media_type
    try:
        return parse_manifest(answer.body).media_type
    except (InvalidDocument, UnsupportedMediaType) as error:
        raise type(error)(f"{subject}: {error.message}", remedy=error.remedy) from error
