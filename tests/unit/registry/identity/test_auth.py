from __future__ import annotations

import base64
import json
import threading
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import pytest

from demo.registry import Service, serve
from ocibuild.errors import RegistryError, Unauthorized
from ocibuild.oci import Reference
from ocibuild.registry import Credentials, Password, Registry, RegistryConfig, resolve
from ocibuild.registry.configuration.config import HostConfig
from ocibuild.registry.http.transport import Transport
from ocibuild.registry.identity.auth import Authorizer
from ocibuild.transfer import push
from tests.support.authority import Authority
from tests.unit.registry.conftest import QUICK
from tests.unit.registry.images import AMD64, nothing, pull_layers, put_image
from tests.unit.registry.scripts import refuse, reply
from tests.unit.registry.test_client import fetch, give

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from demo.registry import Handler
    from ocibuild.store import Store


@pytest.fixture
def service() -> Iterator[Service]:
    with serve(Service(login=("anna", "secret"))) as running:
        yield running


@pytest.fixture
def reference(service: Service) -> Reference:
    return Reference.parse(f"{service.address}/team/app:1")


def credentials(host: str, **entry: str) -> Credentials:
    return Credentials.load({"DOCKER_AUTH_CONFIG": json.dumps({"auths": {host: entry}})})


@contextmanager
def client_of(
    service: Service, entry: dict[str, str] | None = None, config: RegistryConfig | None = None
) -> Iterator[Registry]:
    known = credentials(service.address, **(entry or {"username": "anna", "password": "secret"}))
    with Registry(config or RegistryConfig(), known, policy=QUICK) as client:
        yield client


def test_one_token_serves_all_pulls_of_a_repository(service: Service, reference: Reference) -> None:
    with client_of(service) as registry:
        blobs = [give(registry, reference, bytes([number])) for number in range(3)]
        service.seen.clear()
        for blob in blobs:
            fetch(registry, reference, blob)
    (token,) = service.requests("GET", "/token")
    query = parse_qs(token.path.partition("?")[2])
    assert query["scope"] == ["repository:team/app:pull"]
    assert query["service"] == ["demo"]


def test_a_push_asks_for_the_right_to_push(service: Service, reference: Reference) -> None:
    with client_of(service) as registry:
        give(registry, reference, b"x")
    (token,) = service.requests("GET", "/token")
    assert "scope=repository%3Ateam%2Fapp%3Apull%2Cpush" in token.path


def test_each_repository_has_its_own_token(service: Service) -> None:
    with client_of(service) as registry:
        for name in ("one", "two"):
            give(registry, Reference.parse(f"{service.address}/{name}:1"), b"x")
    assert len(service.requests("GET", "/token")) == 2


def test_threads_share_one_token(service: Service, reference: Reference) -> None:
    with client_of(service) as registry:
        blob = give(registry, reference, b"x")
        service.seen.clear()
        threads = [threading.Thread(target=fetch, args=(registry, reference, blob)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(service.requests("GET", "/token")) == 1
    assert len([one for one in service.requests("GET", "/blobs/") if one.status == 200]) == 8


def test_a_token_is_renewed_before_it_ends(service: Service, reference: Reference) -> None:
    service.token_seconds = 0.5
    with client_of(service) as registry:
        give(registry, reference, b"x")
        time.sleep(0.5)
        registry.blob_exists(reference, give(registry, reference, b"y").digest)
    assert len(service.requests("GET", "/token")) >= 2
    assert sum(one.status == 401 for one in service.seen) == 1, "only the very first request may be refused"


def test_a_token_that_ends_early_is_renewed(service: Service, reference: Reference) -> None:
    with client_of(service) as registry:
        give(registry, reference, b"x")
        service.tokens.clear()
        assert fetch(registry, reference, give(registry, reference, b"y")) == b"y"


@pytest.mark.parametrize(
    "entry",
    [{"username": "anna", "password": "wrong"}, {"username": "", "password": ""}],
    ids=["wrong password", "no credentials"],
)
def test_who_may_not_is_told_what_to_do(service: Service, reference: Reference, entry: dict[str, str]) -> None:
    with client_of(service, entry) as registry, pytest.raises(Unauthorized) as caught:
        registry.manifest(reference)
    assert str(caught.value).startswith(f"{reference}: ")
    assert "ocibuild login" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert len(service.requests("GET", "/token")) == 1, "a refusal is not asked for again"


def test_credentials_of_another_host_are_not_shown(service: Service, reference: Reference) -> None:
    known = credentials("other.example", username="anna", password="secret")
    with Registry(RegistryConfig(), known, policy=QUICK) as registry, pytest.raises(Unauthorized):
        registry.manifest(reference)
    assert all("Authorization" not in one.headers for one in service.seen)


def ask_for_basic(handler: Handler) -> bool:
    expected = "Basic " + base64.b64encode(b"anna:secret").decode()
    if handler.headers.get("Authorization") == expected:
        return False
    handler.fail(401, "UNAUTHORIZED", "who are you", WWW_Authenticate='Basic realm="x"')
    return True


def test_basic_is_sent_where_it_is_asked_for() -> None:
    with serve(Service(intercept=ask_for_basic)) as service, client_of(service) as registry:
        reference = Reference.parse(f"{service.address}/team/app:1")
        assert fetch(registry, reference, give(registry, reference, b"x")) == b"x"
    assert [one.status for one in service.seen].count(401) == 1


@pytest.mark.parametrize(
    "entry", [{"username": "anna", "password": "wrong"}, {"identitytoken": "t"}], ids=["wrong password", "token"]
)
def test_basic_that_is_refused_is_sent_once(entry: dict[str, str]) -> None:
    with serve(Service(intercept=ask_for_basic)) as service, client_of(service, entry) as registry:
        with pytest.raises(Unauthorized):
            registry.manifest(Reference.parse(f"{service.address}/team/app:1"))
        assert len(service.seen) <= 2


def test_an_identity_token_is_exchanged_by_post(service: Service, reference: Reference) -> None:
    forms: list[dict[str, list[str]]] = []

    def intercept(handler: Handler) -> bool:
        if handler.path != "/token":
            return False
        forms.append(parse_qs((handler.read_body(1 << 16) or b"").decode()))
        service.tokens["fresh"] = (frozenset(forms[-1]["scope"][0].split()), time.monotonic() + 60)
        handler.answer(200, b'{"access_token": "fresh"}')
        return True

    service.intercept = intercept
    with client_of(service, {"identitytoken": "refresh"}) as registry:
        give(registry, reference, b"x")
    (form,) = forms
    assert form["grant_type"] == ["refresh_token"]
    assert form["refresh_token"] == ["refresh"]
    assert form["scope"] == ["repository:team/app:pull,push"]


def test_a_registry_token_is_sent_as_it_is(service: Service, reference: Reference) -> None:
    service.tokens["ready"] = (frozenset({"repository:team/app:pull,push"}), time.monotonic() + 60)
    with client_of(service, {"registrytoken": "ready"}) as registry:
        give(registry, reference, b"x")
    assert service.requests("GET", "/token") == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"token": 1}',
        b'{"token": "a b"}',
        b'{"token": "a\\r\\nX: y"}',
    ],
    ids=["empty", "list", "none", "number", "blank", "header"],
)
def test_a_token_server_that_makes_no_sense_is_an_error(service: Service, reference: Reference, body: bytes) -> None:
    service.intercept = lambda handler: handler.path.startswith("/token") and reply(handler, 200, body)
    with client_of(service) as registry, pytest.raises(RegistryError, match="holds no token"):
        registry.manifest(reference)


def challenge_with(realm: str) -> Service:
    challenge = f'Bearer realm="{realm}",service="s"'
    return Service(intercept=lambda handler: refuse(handler, 401, "", "", WWW_Authenticate=challenge))


@pytest.mark.parametrize(
    "realm",
    [
        "http://auth.example/token",
        "http://127.0.0.1@auth.example/",
        "ftp://127.0.0.1/",
        "/token",
        "",
        "http://",
        "http://[",
    ],
)
def test_credentials_go_to_no_token_server_without_tls(realm: str) -> None:
    with serve(challenge_with(realm)) as service, client_of(service) as registry:
        with pytest.raises(RegistryError, match=r"token server is not HTTPS|is not a URL"):
            registry.manifest(Reference.parse(f"{service.address}/team/app:1"))
        assert all("Authorization" not in one.headers for one in service.seen)


def test_a_registry_with_tls_may_not_name_a_token_server_without(service: Service) -> None:
    config = RegistryConfig({"r.example": HostConfig(http=False)})
    transport = Transport(config, QUICK)
    authorizer = Authorizer(config.origin("r.example"), Credentials(), transport, config)
    challenges = f'Bearer realm="http://{service.address}/token"'
    with pytest.raises(RegistryError, match="token server is not HTTPS"):
        authorizer.renew(("repository:a:pull",), challenges, rejected=None, subject="r.example/a:1")
    assert service.seen == []


def test_a_push_and_a_pull_work_with_tokens(service: Service, store: Store, other_store: Store) -> None:
    reference = Reference.parse(f"{service.address}/team/app:1")
    image = put_image(store)
    with client_of(service) as registry:
        push(registry, store, image, [reference], progress=nothing)
        resolved = resolve(registry, other_store, reference, AMD64)
        pull_layers(registry, other_store, resolved, progress=nothing)
    assert resolved.descriptor.digest == image.digest
    assert len(service.requests("GET", "/token")) == 2, "one to push, one to pull"


def bearer(service: Service, *more: str) -> str:
    return ", ".join([*more, f'Bearer realm="http://{service.address}/token",service="s"'])


def authorizer_of(service: Service, config: RegistryConfig | None = None) -> Authorizer:
    config = config or RegistryConfig()
    known = Credentials.only(service.address, Password("anna", "secret"))
    return Authorizer(config.origin(service.address), known, Transport(config, QUICK), config)


def renew(authorizer: Authorizer, challenges: str, *scopes: str, rejected: str | None = None) -> str | None:
    return authorizer.renew(scopes, challenges, rejected=rejected, subject="r.example/a:1")


def test_each_set_of_scopes_has_its_own_token(service: Service) -> None:
    authorizer = authorizer_of(service)
    both = ("repository:dst:pull,push", "repository:src:pull")
    one = renew(authorizer, bearer(service), both[0])
    two = authorizer.header(both, "subject")
    assert one != two
    assert authorizer.header(both[:1], "subject") == one
    assert authorizer.header(both, "subject") == two
    asked = [parse_qs(seen.path.partition("?")[2])["scope"] for seen in service.requests("GET", "/token")]
    assert asked == [[both[0]], list(both)]


def test_what_a_challenge_says_of_scopes_is_for_its_request_alone(service: Service) -> None:
    authorizer = authorizer_of(service)
    renew(authorizer, bearer(service) + ',scope="repository:a:delete"', "repository:a:pull")
    authorizer.header(("repository:b:pull",), "subject")
    asked = [parse_qs(seen.path.partition("?")[2])["scope"] for seen in service.requests("GET", "/token")]
    assert asked == [["repository:a:pull,delete"], ["repository:b:pull"]]


@pytest.mark.parametrize("order", [0, 1], ids=["basic first", "basic last"])
def test_a_token_is_preferred_to_basic(service: Service, order: int) -> None:
    challenges = ['Basic realm="x"', bearer(service)]
    header = renew(authorizer_of(service), ", ".join(challenges[:: 1 - 2 * order]), "repository:a:pull")
    assert header
    assert header.startswith("Bearer ")


@pytest.mark.parametrize("other", ["Bearer", 'Bearer service="x"', "Negotiate", 'Digest realm="x"'])
def test_basic_is_taken_beside_what_cannot_be_used(service: Service, other: str) -> None:
    header = renew(authorizer_of(service), f'{other}, Basic realm="x"', "repository:a:pull")
    assert header == "Basic " + base64.b64encode(b"anna:secret").decode()


def test_a_registry_may_change_from_basic_to_tokens(service: Service) -> None:
    authorizer = authorizer_of(service)
    basic = renew(authorizer, "Basic", "repository:a:pull")
    token = renew(authorizer, bearer(service), "repository:a:pull", rejected=basic)
    assert token
    assert token.startswith("Bearer ")
    assert authorizer.header(("repository:a:pull",), "subject") == token


def script(*answers: Callable[[Handler], bool]) -> Service:
    """Return a service whose token server answers so at first, then as it should."""
    left = iter(answers)

    def intercept(handler: Handler) -> bool:
        return handler.path.startswith("/token") and next(left, lambda _: False)(handler)

    return Service(login=("anna", "secret"), intercept=intercept)


def cut(handler: Handler) -> bool:
    handler.close_connection = True
    return True


@pytest.mark.parametrize(
    "first",
    [
        lambda handler: reply(handler, 500),
        lambda handler: reply(handler, 503),
        lambda handler: reply(handler, 429, Retry_After="0"),
        cut,
    ],
    ids=["500", "503", "429", "cut"],
)
def test_a_token_server_in_trouble_is_asked_again(first: Callable[[Handler], bool]) -> None:
    with serve(script(first, first)) as service, client_of(service) as registry:
        give(registry, Reference.parse(f"{service.address}/team/app:1"), b"x")
    assert len([one for one in service.requests("PUT") if one.status == 201]) == 1


def test_a_token_server_is_obeyed_when_it_asks_for_time() -> None:
    with serve(script(lambda handler: reply(handler, 429, Retry_After="1"))) as service, client_of(service) as registry:
        begun = time.monotonic()
        give(registry, Reference.parse(f"{service.address}/team/app:1"), b"x")
        assert time.monotonic() - begun >= 1


@pytest.mark.parametrize("status", [404, 500, 418])
def test_a_token_server_that_stays_in_trouble_is_an_error(status: int) -> None:
    answers = [lambda handler: reply(handler, status)] * 99
    with serve(script(*answers)) as service, client_of(service) as registry:
        with pytest.raises(RegistryError, match=f"the token server of 127.* answers {status}"):
            registry.manifest(Reference.parse(f"{service.address}/team/app:1"))
        assert len(service.requests("GET", "/token")) <= QUICK.attempts


def test_credentials_follow_no_redirect_to_another_host() -> None:
    """Not on the first one, and not on those after it, even back to where they came from."""
    with serve() as other:
        service = script(lambda handler: reply(handler, 307, Location=f"http://{other.address}/token"))
        with serve(service), client_of(service) as registry:
            other.intercept = lambda handler: reply(handler, 307, Location=f"http://{service.address}/token?again")
            with pytest.raises(Unauthorized):
                registry.manifest(Reference.parse(f"{service.address}/team/app:1"))
        assert [one.path for one in other.seen] == ["/token"]
        assert all("Authorization" not in one.headers for one in other.seen)
        first, again = service.requests("GET", "/token")
        assert "Authorization" in first.headers
        assert "Authorization" not in again.headers


def test_a_refresh_token_follows_no_redirect() -> None:
    bodies: list[bytes | None] = []

    def note(handler: Handler) -> bool:
        bodies.append(handler.read_body(1 << 16))
        return reply(handler, 200, b'{"token": "stolen"}')

    with serve(Service(intercept=note)) as other:
        service = script(lambda handler: reply(handler, 307, Location=f"http://{other.address}/token"))
        with (
            serve(service),
            client_of(service, {"identitytoken": "refresh"}) as registry,
            pytest.raises(RegistryError, match="answers 307"),
        ):
            registry.manifest(Reference.parse(f"{service.address}/team/app:1"))
    assert bodies == []


def test_a_token_server_with_tls_may_not_lead_to_one_without(tmp_path: Path, service: Service) -> None:
    authority = Authority.make(tmp_path)
    tls = authority.issue("server", "IP:127.0.0.1").server_context()
    redirecting = Service(intercept=lambda handler: reply(handler, 307, Location=f"http://{service.address}/token"))
    with serve(redirecting, tls=tls):
        config = RegistryConfig({redirecting.address: HostConfig(ca=(str(authority.own.cert),))})
        authorizer = authorizer_of(redirecting, config)
        with pytest.raises(RegistryError, match="from HTTPS to plain HTTP"):
            renew(authorizer, f'Bearer realm="https://{redirecting.address}/token"', "repository:a:pull")
    assert service.seen == []


def test_endless_refusals_end(service: Service, reference: Reference) -> None:
    service.intercept = lambda handler: (
        not handler.path.startswith("/token") and refuse(handler, 401, "", "", WWW_Authenticate=bearer(service))
    )
    with client_of(service) as registry, pytest.raises(Unauthorized):
        registry.manifest(reference)
    assert len(service.seen) == 3, "refused, a token, refused"


def test_a_token_that_ends_in_the_middle_of_a_push_is_renewed(
    service: Service, reference: Reference, store: Store
) -> None:
    uses: Counter[str] = Counter()

    def forget(handler: Handler) -> bool:
        token = handler.headers.get("Authorization", "").removeprefix("Bearer ")
        uses[token] += 1
        if uses[token] > 2:
            service.tokens.pop(token, None)
        return False

    service.intercept = forget
    config = RegistryConfig({service.address: HostConfig(parallel=1)})
    with client_of(service, config=config) as registry:
        push(registry, store, put_image(store), [reference], progress=nothing)
        assert registry.head(reference)
    assert sum(one.status == 401 for one in service.seen) > 2
