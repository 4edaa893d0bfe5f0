"""Manifests about another one (distribution-spec, "Listing Referrers", "Referrers Tag Schema")."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from ocibuild.errors import InvalidDocument
from ocibuild.oci import Descriptor, Index, Manifest, mediatypes, parse_manifest
from ocibuild.registry.http.messages import failure

if TYPE_CHECKING:
    from ocibuild.oci import Digest
    from ocibuild.registry.http.messages import Answer
    from ocibuild.registry.session import RepositorySession

_LIMIT = 4 << 20  # bytes of a page
_MOST_PAGES = 100
_NEXT = re.compile(r'<([^>]+)>\s*;\s*rel="?next"?')


def list_referrers(session: RepositorySession, digest: Digest, artifact_type: str | None) -> tuple[Descriptor, ...]:
    """Return the descriptors of the manifests about ``digest``, of one type if asked for."""
    query = f"?{urlencode({'artifactType': artifact_type})}" if artifact_type else ""
    url = session.url(f"referrers/{digest}{query}")
    found: list[Descriptor] = []
    for _ in range(_MOST_PAGES):
        answer = session.ask("GET", url, headers={"Accept": mediatypes.OCI_INDEX}, limit=_LIMIT)
        if answer.status == 404 and not found:
            found += _by_tag(session, digest)
            break
        found += _read(answer, session)
        following = _NEXT.search(answer.headers.get("Link", ""))
        if not following:
            break
        url = session.resolve(answer, following[1])
    return tuple(one for one in found if artifact_type in (None, one.artifact_type))


def attach_by_tag(session: RepositorySession, descriptor: Descriptor, data: bytes) -> None:
    """Add a manifest that was pushed to the index under its subject's tag, where it has a subject.

    For a registry that does not keep referrers itself: it answers a push without ``OCI-Subject``.
    """
    document = parse_manifest(data, descriptor.media_type, trusted=True)
    if document.subject is None:
        return
    before = _by_tag(session, document.subject.digest)
    if any(one.digest == descriptor.digest for one in before):
        return
    described = Descriptor(
        descriptor.media_type,
        descriptor.digest,
        descriptor.size,
        annotations=document.annotations,
        artifact_type=document.artifact_type or _config_type(document),
    )
    index = Index(mediatypes.OCI_INDEX, (*before, described)).to_bytes()
    url = session.url(f"manifests/{referrers_tag(document.subject.digest)}")
    answer = session.ask("PUT", url, headers={"Content-Type": mediatypes.OCI_INDEX}, body=index)
    if answer.status not in (200, 201, 202):
        raise failure(answer, f"{session.subject}: upload of the index of referrers")


def referrers_tag(digest: Digest) -> str:
    """Return the tag that stands in for the API: ``sha256-HEX``."""
    return f"{digest.algorithm[:32]}-{digest.encoded[:64]}"


def _by_tag(session: RepositorySession, digest: Digest) -> tuple[Descriptor, ...]:
    url = session.url(f"manifests/{referrers_tag(digest)}")
    answer = session.ask("GET", url, headers={"Accept": mediatypes.OCI_INDEX}, limit=_LIMIT)
    return () if answer.status == 404 else _read(answer, session)


def _read(answer: Answer, session: RepositorySession) -> tuple[Descriptor, ...]:
    if answer.status != 200:
        raise failure(answer, f"{session.subject}: referrers")
    document = parse_manifest(answer.body, mediatypes.OCI_INDEX)
    if not isinstance(document, Index):
        raise InvalidDocument(f"{session.subject}: the registry answers no index of referrers")
    return document.manifests


def _config_type(document: Manifest | Index) -> str | None:
    return document.config.media_type if isinstance(document, Manifest) else None
