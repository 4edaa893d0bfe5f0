"""What ``login`` asks of a registry, with Debian's docker-registry at the other end."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from demo.registry import Service, serve
from ocibuild.errors import RegistryError, Unauthorized
from ocibuild.oci import Reference
from ocibuild.registry import Credentials, IdentityToken, Password, Registry, RegistryConfig, resolve
from ocibuild.registry.configuration.config import HostConfig
from ocibuild.transfer import push
from tests.support.authority import Authority
from tests.support.peers import docker_registry
from tests.support.token_server import TokenServer, htpasswd_settings, serve_tokens, tls_settings
from tests.unit.registry.conftest import QUICK
from tests.unit.registry.images import AMD64, nothing, put_image
from tests.unit.registry.scripts import refuse, reply

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from demo.registry import Handler
    from ocibuild.registry import Credential
    from ocibuild.store import Store

ANNA = Password("anna", "hush")
WRONG = Password("anna", "wrong")


def login(address: str, credential: Credential, config: RegistryConfig | None = None) -> Credential:
    with Registry(config or RegistryConfig(), Credentials(), policy=QUICK) as registry:
        return registry.check_login(address, credential)


def push_and_pull(address: str, credential: Credential, store: Store, config: RegistryConfig | None = None) -> None:
    reference = Reference.parse(f"{address}/team/app:1")
    image = put_image(store)
    known = Credentials.only(address, credential)
    with Registry(config or RegistryConfig(), known, policy=QUICK) as registry:
        push(registry, store, image, [reference], progress=nothing)
        assert resolve(registry, store, reference, AMD64).descriptor.digest == image.digest


@pytest.mark.parametrize("tls", [False, True], ids=["http", "tls"])
def test_a_registry_with_htpasswd_takes_the_password(tmp_path: Path, store: Store, tls: bool) -> None:
    authority = Authority.make(tmp_path / "ca")
    server = authority.issue("server", "IP:127.0.0.1")
    settings = tls_settings(server.cert, server.key) if tls else ""
    with docker_registry(tmp_path, settings + htpasswd_settings(tmp_path, "anna", "hush")) as address:
        config = RegistryConfig({address: HostConfig(ca=(str(authority.own.cert),))} if tls else {})
        assert login(address, ANNA, config) == ANNA
        for refused in (WRONG, Password("otto", "hush"), Password("anna", ""), IdentityToken("x")):
            with pytest.raises(Unauthorized, match="refuses the user name or the password"):
                login(address, refused, config)
        push_and_pull(address, ANNA, store, config)


@contextmanager
def registry_with_tokens(folder: Path, refresh: str = "") -> Iterator[tuple[str, TokenServer, RegistryConfig]]:
    """Run docker-registry and its token server, both with TLS."""
    authority = Authority.make(folder / "ca")
    certificate = authority.issue("server", "IP:127.0.0.1")
    server = TokenServer(Authority.make(folder / "signer", rsa=True), refresh=refresh)
    with ExitStack() as stack:
        stack.enter_context(serve_tokens(server, tls=certificate.server_context()))
        settings = tls_settings(certificate.cert, certificate.key) + server.settings()
        address = stack.enter_context(docker_registry(folder, settings))
        trusted = HostConfig(ca=(str(authority.own.cert),))
        token_host = server.realm.split("/")[2]
        yield address, server, RegistryConfig({address: trusted, token_host: trusted})


def test_a_registry_with_a_token_server_takes_the_password(tmp_path: Path, store: Store) -> None:
    with registry_with_tokens(tmp_path) as (address, server, config):
        assert login(address, ANNA, config) == ANNA
        with pytest.raises(Unauthorized, match="refuses the user name or the password"):
            login(address, WRONG, config)
        assert [asked.parameters.get("scope") for asked in server.asked] == [None, None]
        push_and_pull(address, ANNA, store, config)


def test_a_refresh_token_is_kept_in_the_place_of_the_password(tmp_path: Path, store: Store) -> None:
    with registry_with_tokens(tmp_path, refresh="fresh") as (address, server, config):
        kept = login(address, ANNA, config)
        assert kept == IdentityToken("fresh")
        server.asked.clear()
        push_and_pull(address, kept, store, config)
        assert {asked.method for asked in server.asked} == {"POST"}
        with pytest.raises(Unauthorized):
            login(address, IdentityToken("stale"), config)


def test_a_registry_of_two_repositories_asks_once_for_both(tmp_path: Path, store: Store) -> None:
    """What mounting a blob from another repository needs."""
    with registry_with_tokens(tmp_path) as (address, server, config):
        push_and_pull(address, ANNA, store, config)
        server.asked.clear()
        blob = store.blobs.put(b"one", "")
        with Registry(config, Credentials.only(address, ANNA), policy=QUICK) as registry:
            target = Reference.parse(f"{address}/team/other:1")
            session = registry._session(config.origin(address), target, push=True)
            url = session.url(f"blobs/uploads/?mount={blob.digest}&from=team/app")
            answer = session.ask("POST", url, body=b"", further_scopes=("repository:team/app:pull",))
        assert answer.status == 201, "mounted, not begun"
        (asked,) = server.asked
        assert asked.parameters["scope"] == ["repository:team/other:pull,push", "repository:team/app:pull"]


def test_who_asks_for_nothing_takes_everybody() -> None:
    with serve() as service:
        assert login(service.address, ANNA) == ANNA
        assert all("Authorization" not in one.headers for one in service.seen)


@pytest.mark.parametrize("status", [404, 500, 204])
def test_what_is_no_registry_is_said_to_be_none(status: int) -> None:
    with (
        serve(Service(intercept=lambda handler: reply(handler, status))) as service,
        pytest.raises(RegistryError, match=f"not a registry: it answers {status}"),
    ):
        login(service.address, ANNA)


def test_endless_refusals_end() -> None:
    def refuse_all(handler: Handler) -> bool:
        if handler.path.startswith("/token"):
            return reply(handler, 200, b'{"token": "t"}')
        challenge = f'Bearer realm="http://{service.address}/token"'
        return refuse(handler, 401, "", "", WWW_Authenticate=challenge)

    service = Service(intercept=refuse_all)
    with serve(service), pytest.raises(Unauthorized):
        login(service.address, ANNA)
    assert len(service.seen) == 3
