"""Caches that travel: what one machine has built is not built on another."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from itertools import count
from typing import TYPE_CHECKING

import pytest

from demo.registry import Service, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.program import Built, Program

_UUID = "/proc/sys/kernel/random/uuid"
_TWO_STAGES = f"""\
FROM {{base}} AS builder
WORKDIR /src
COPY a.txt .
RUN cat {_UUID} a.txt > /out
FROM {{base}}
RUN cat {_UUID} > /one
COPY --from=builder /out /out
RUN cat {_UUID} > /two
"""
_NUMBERS = count()
_SECONDS = 20


@pytest.fixture
def cache() -> Iterator[Service]:
    """A registry whose requests are known."""
    with serve() as service:
        yield service


def _app(program: Program, base: str, text: str = _TWO_STAGES, name: str = "app") -> Path:
    return program.context(name, {"Dockerfile": text.format(base=base), "a.txt": "hello\n"})


def _elsewhere(program: Program) -> Path:
    """Return where a machine that has built nothing has its store."""
    return program.user.home / f"machine-{next(_NUMBERS)}"


def _shown(program: Program, root: Path, image: str, *paths: str) -> str:
    return program.check("--root", root, "run", image, "cat", *paths)


def _fetched(service: Service) -> set[str]:
    return {request.path.rpartition("/")[2] for request in service.requests("GET", "/blobs/")}


def _layers(program: Program, root: Path, image: str) -> list[str]:
    (inspected,) = json.loads(program.check("--root", root, "inspect", image))
    return list(inspected["RootFS"]["Layers"])


def test_another_machine_runs_nothing_and_gets_the_same_image(
    ocibuild: Program, busybox_base: str, cache: Service
) -> None:
    app, here, there = _app(ocibuild, busybox_base), _elsewhere(ocibuild), _elsewhere(ocibuild)
    spec = f"type=registry,ref={cache.address}/team/cache:main"
    first = ocibuild.build(app, "-t", "made", "--cache-to", spec, root=here)
    second = ocibuild.build(app, "-t", "made", "--cache-from", spec, root=there)
    assert second.ran("RUN") == second.ran("COPY") == []
    assert second.image_id == first.image_id
    assert _shown(ocibuild, there, "made", "/one", "/out", "/two") == _shown(
        ocibuild, here, "made", "/one", "/out", "/two"
    )
    assert "valid" in ocibuild.check("--root", there, "validate", "made")


def test_only_what_is_used_is_looked_up_and_downloaded(ocibuild: Program, busybox_base: str, cache: Service) -> None:
    app, spec = _app(ocibuild, busybox_base), f"type=registry,ref={cache.address}/team/cache"
    ocibuild.build(app, "--cache-to", f"{spec},mode=max", root=_elsewhere(ocibuild))
    kept = set(map(_key_of, cache.requests("PUT", "/manifests/")))
    assert len(kept) == 6, "three steps of the builder, and three of the image"
    cache.seen.clear()
    there = _elsewhere(ocibuild)
    ocibuild.build(app, "-t", "made", "--cache-from", spec, root=there)
    used = [request.path for request in cache.requests("GET", "/blobs/")]
    assert len(used) == 3, "the image's own layers, and none of the builder's"
    assert not (there / "snapshots").exists() or not list((there / "snapshots").iterdir()), "nothing was unpacked"


def _key_of(request: object) -> str:
    found = re.search(r"/manifests/[\w.]+-([0-9a-f]{64})$", str(getattr(request, "path", "")))
    assert found
    return found[1]


def test_the_larger_mode_has_stages_that_were_built_before(
    ocibuild: Program, busybox_base: str, cache: Service
) -> None:
    app, spec = _app(ocibuild, busybox_base), f"type=registry,ref={cache.address}/team/cache"
    ocibuild.build(app)
    built = ocibuild.build(app, "--cache-to", f"{spec},mode=max")
    assert built.ran("RUN") == []
    assert len(cache.requests("PUT", "/manifests/")) == 6


def test_the_smaller_mode_has_what_the_image_has(ocibuild: Program, busybox_base: str, cache: Service) -> None:
    app, spec = _app(ocibuild, busybox_base), f"type=registry,ref={cache.address}/team/cache"
    ocibuild.build(app, "--cache-to", spec, root=_elsewhere(ocibuild))
    assert len(cache.requests("PUT", "/manifests/")) == 3


def test_what_a_cache_does_not_have_is_no_pull(ocibuild: Program, busybox_base: str, cache: Service) -> None:
    """Where pulls are counted, requests for manifests count, and those for their headers do not."""
    app, spec = _app(ocibuild, busybox_base), f"type=registry,ref={cache.address}/team/cache"
    ocibuild.build(app, "--cache-from", spec, root=_elsewhere(ocibuild))
    assert len(cache.requests("HEAD", "/manifests/")) > 6, "the cache's own tag, and one of each step"
    assert cache.requests("GET", "/manifests/") == []


@pytest.mark.parametrize(("mode", "expected"), [("min", 2), ("max", 3)])
def test_layers_are_sent_while_a_later_step_still_runs(
    ocibuild: Program, busybox_base: str, cache: Service, mode: str, expected: int
) -> None:
    text = f"""\
FROM {{base}} AS builder
RUN cat {_UUID} > /out
FROM {{base}}
RUN cat {_UUID} > /one
COPY --from=builder /out /copied
RUN sleep {_SECONDS}
"""
    app, spec = _app(ocibuild, busybox_base, text), f"type=registry,ref={cache.address}/team/cache,mode={mode}"
    process = ocibuild.start("--root", _elsewhere(ocibuild), "build", "--cache-to", spec, app)
    until = time.monotonic() + _SECONDS
    while len(cache.requests("PUT", "/blobs/")) < expected and time.monotonic() < until:
        time.sleep(0.05)
    assert process.poll() is None, "the last step still sleeps"
    process.terminate()
    process.communicate()
    assert len(cache.requests("PUT", "/blobs/")) == expected
    assert cache.requests("PUT", "/manifests/") == [], "what was not finished is found by nobody"


def test_what_is_pushed_to_the_same_registry_is_sent_once(ocibuild: Program, busybox_base: str, cache: Service) -> None:
    app, here = _app(ocibuild, busybox_base), _elsewhere(ocibuild)
    spec = f"type=registry,ref={cache.address}/team/cache"
    ocibuild.build(app, "--push", "-t", f"{cache.address}/team/app", "--cache-to", spec, root=here)
    layers = set(_layers(ocibuild, here, f"{cache.address}/team/app"))
    sent = [request.path for request in cache.requests("PUT", "/blobs/")]
    assert len([path for path in sent if "/team/cache/" in path]) == 1, "what stands for a config"
    assert len(sent) == 1 + 1 + len(layers)


def test_a_new_step_runs_on_what_a_cache_has(everywhere: Program, busybox_base: str, cache: Service) -> None:
    spec = f"type=registry,ref={cache.address}/team/cache,mode=max"
    app, here, there = _app(everywhere, busybox_base), _elsewhere(everywhere), _elsewhere(everywhere)
    everywhere.build(app, "-t", "made", "--cache-to", spec, root=here)
    more = _app(everywhere, busybox_base, _TWO_STAGES + "RUN cat /one /out /two > /all && rm /one\n")
    built = everywhere.build(more, "-t", "made", "--cache-from", spec.replace(",mode=max", ""), root=there)
    assert [label.partition("] ")[2] for label in built.ran("RUN")] == ["RUN cat /one /out /two > /all && rm /one"]
    assert _shown(everywhere, there, "made", "/all") == _shown(everywhere, here, "made", "/one", "/out", "/two")
    again = everywhere.build(more, "-t", "made", root=there)
    assert again.ran("RUN") == again.ran("COPY") == [], "what came from the cache is the store's own by now"


def test_a_stage_is_copied_from_that_only_a_cache_has(ocibuild: Program, busybox_base: str, cache: Service) -> None:
    spec = f"type=registry,ref={cache.address}/team/cache"
    here, there = _elsewhere(ocibuild), _elsewhere(ocibuild)
    ocibuild.build(_app(ocibuild, busybox_base), "-t", "made", "--cache-to", f"{spec},mode=max", root=here)
    other = _app(ocibuild, busybox_base, _TWO_STAGES.replace("> /one", "> /other"))
    built = ocibuild.build(other, "-t", "made", "--cache-from", spec, root=there)
    assert built.ran("[builder") == []
    assert _shown(ocibuild, there, "made", "/out") == _shown(ocibuild, here, "made", "/out")


def test_a_linked_copy_stays_cached_on_another_base(ocibuild: Program, busybox_base: str, cache: Service) -> None:
    spec = f"type=registry,ref={cache.address}/team/cache,mode=max"
    text = "FROM {base}\nRUN echo %s > /below\nCOPY --link a.txt /linked/\n"
    ocibuild.build(_app(ocibuild, busybox_base, text % "one"), "--cache-to", spec, root=_elsewhere(ocibuild))
    there = _elsewhere(ocibuild)
    context = _app(ocibuild, busybox_base, text % "two" + "RUN cat /below /linked/a.txt > /both\n")
    built = ocibuild.build(context, "-t", "made", "--cache-from", spec.replace(",mode=max", ""), root=there)
    assert built.ran("COPY") == []
    assert len(built.ran("RUN")) == 2
    assert _shown(ocibuild, there, "made", "/both") == "two\nhello\n"


def test_a_folder_is_a_cache_and_a_layout(ocibuild: Program, busybox_base: str) -> None:
    app, here, there = _app(ocibuild, busybox_base), _elsewhere(ocibuild), _elsewhere(ocibuild)
    folder = ocibuild.user.home / "kept"
    first = ocibuild.build(app, "-t", "made", "--cache-to", f"type=local,dest={folder},mode=max", root=here)
    assert "valid" in ocibuild.check("validate", folder)
    second = ocibuild.build(app, "-t", "made", "--cache-from", f"type=local,src={folder}", root=there)
    assert second.ran("RUN") == []
    assert second.image_id == first.image_id


def test_an_image_carries_its_own_cache(ocibuild: Program, busybox_base: str, cache: Service) -> None:
    app, name = _app(ocibuild, busybox_base), f"{cache.address}/team/app:1"
    here, there = _elsewhere(ocibuild), _elsewhere(ocibuild)
    first = ocibuild.build(app, "-t", name, "--push", "--cache-to", "type=inline", root=here)
    second = ocibuild.build(app, "-t", "made", "--cache-from", name, root=there)
    assert second.ran("RUN") == second.ran("COPY") == []
    assert second.image_id == first.image_id
    assert ocibuild.build(app, root=here).image_id == first.image_id, "the ID does not tell of it"


def test_two_builds_write_to_one_repository_at_once(ocibuild: Program, busybox_base: str, cache: Service) -> None:
    spec = f"type=registry,ref={cache.address}/team/cache"
    text = "FROM {base}\nRUN echo %s > /file\nRUN echo more > /more\n"
    contexts = [_app(ocibuild, busybox_base, text % name, name) for name in ("one", "two")]
    started = [
        ocibuild.start("--root", _elsewhere(ocibuild), "build", "--cache-to", spec, context) for context in contexts
    ]
    assert [process.wait() for process in started] == [0, 0]
    for process in started:
        process.communicate()
    for context in contexts:
        assert ocibuild.build(context, "--cache-from", spec, root=_elsewhere(ocibuild)).ran("RUN") == []


@pytest.mark.parametrize("option", ["--cache-from", "--cache-to"])
def test_a_cache_that_cannot_be_reached_is_a_warning(ocibuild: Program, busybox_base: str, option: str) -> None:
    with serve() as service:
        gone = service.address
    built = ocibuild.build(_app(ocibuild, busybox_base), "-t", "made", option, f"type=registry,ref={gone}/team/cache")
    assert len(built.ran("RUN")) == 3
    assert _warnings(built, gone)


def _warnings(built: Built, part: str) -> list[str]:
    return [line for line in built.stderr.splitlines() if line.startswith("WARNING") and part in line]


def test_a_cache_that_refuses_us_is_a_warning(ocibuild: Program, busybox_base: str, cache: Service) -> None:
    cache.login = ("anna", "a-password")
    spec = f"type=registry,ref={cache.address}/team/cache"
    built = ocibuild.build(_app(ocibuild, busybox_base), "--cache-from", spec, "--cache-to", spec)
    assert len(built.ran("RUN")) == 3
    assert len(_warnings(built, "is not used")) == len(_warnings(built, "was not written")) == 1


@pytest.mark.parametrize("spoil", ["damage", "remove"])
def test_what_a_cache_cannot_give_after_all_is_run(ocibuild: Program, busybox_base: str, spoil: str) -> None:
    app, folder, there = _app(ocibuild, busybox_base), ocibuild.user.home / "kept", _elsewhere(ocibuild)
    here = _elsewhere(ocibuild)
    ocibuild.build(app, "-t", "made", "--cache-to", f"type=local,dest={folder}", root=here)
    for blob in (folder / "blobs/sha256").iterdir():
        if blob.read_bytes()[:2] == b"\x1f\x8b":
            _spoil(blob, spoil)
    built = ocibuild.build(app, "-t", "made", "--cache-from", f"type=local,src={folder}", root=there)
    assert len(built.ran("RUN")) == 3
    assert len(_warnings(built, "steps run instead")) == 1
    assert "not cached: the cache that has its result could not give it" in built.stderr
    assert _shown(ocibuild, there, "made", "/out").endswith("hello\n")
    assert "valid" in ocibuild.check("--root", there, "validate", "made")


def _spoil(blob: Path, how: str) -> None:
    if how == "remove":
        blob.unlink()
        return
    content = bytearray(blob.read_bytes())
    content[-9] ^= 1
    blob.write_bytes(content)


def test_a_layer_that_is_not_what_the_cache_says_is_not_taken(ocibuild: Program, busybox_base: str) -> None:
    """The blob is the one that was promised, but not the tar that would be promised to others."""
    app, folder, there = _app(ocibuild, busybox_base), ocibuild.user.home / "kept", _elsewhere(ocibuild)
    ocibuild.build(app, "--cache-to", f"type=local,dest={folder}", root=_elsewhere(ocibuild))
    index = json.loads((folder / "index.json").read_text())
    for entry in index["manifests"]:
        document = json.loads((folder / "blobs/sha256" / entry["digest"][7:]).read_text())
        document["layers"][0]["annotations"]["dev.ocibuild.cache.diff-id"] = f"sha256:{64 * '0'}"
        changed = json.dumps(document).encode()
        entry |= {"digest": f"sha256:{hashlib.sha256(changed).hexdigest()}", "size": len(changed)}
        (folder / "blobs/sha256" / entry["digest"][7:]).write_bytes(changed)
    (folder / "index.json").write_text(json.dumps(index))
    built = ocibuild.build(app, "-t", "made", "--cache-from", f"type=local,src={folder}", root=there)
    assert _warnings(built, "steps run instead")
    assert len(built.ran("RUN")) == 3
    assert "valid" in ocibuild.check("--root", there, "validate", "made")


def test_a_layer_of_another_step_is_not_taken(ocibuild: Program, busybox_base: str) -> None:
    """Someone gives the layer of one step the name of another: the key it carries tells."""
    app, folder, there = _app(ocibuild, busybox_base), ocibuild.user.home / "kept", _elsewhere(ocibuild)
    ocibuild.build(app, "--cache-to", f"type=local,dest={folder}", root=_elsewhere(ocibuild))
    index = json.loads((folder / "index.json").read_text())
    first, *_, last = index["manifests"]
    first["annotations"], last["annotations"] = last["annotations"], first["annotations"]
    (folder / "index.json").write_text(json.dumps(index))
    built = ocibuild.build(app, "-t", "made", "--cache-from", f"type=local,src={folder}", root=there)
    assert _warnings(built, "is none of it")
    assert len(built.ran("RUN")) == 3


def test_a_secret_is_in_no_cache(ocibuild: Program, busybox_base: str) -> None:
    text = "FROM {base}\nRUN --mount=type=secret,id=s wc -c /run/secrets/s > /length\n"
    app, folder = _app(ocibuild, busybox_base, text), ocibuild.user.home / "kept"
    secret = ocibuild.user.give(ocibuild.context("secret", {"s": "very-secret-0451"})) / "s"
    ocibuild.build(app, "--secret", f"id=s,src={secret}", "--cache-to", f"type=local,dest={folder},mode=max")
    assert all(b"very-secret-0451" not in file.read_bytes() for file in folder.rglob("*") if file.is_file())
    there = _elsewhere(ocibuild)
    other = ocibuild.build(app, "--cache-from", f"type=local,src={folder}", root=there)
    assert other.ran("RUN") == [], "who does not have the secret gets what it was used for"


_ADDED = "FROM {base}\nENV A=b\nCOPY --link a.txt /a.txt\n"


def test_a_base_is_not_downloaded_where_the_registry_of_the_image_has_it(
    ocibuild: Program, busybox_base: str, cache: Service
) -> None:
    base = f"{cache.address}/team/base:1"
    ocibuild.build(_app(ocibuild, busybox_base, "FROM {base}\nRUN echo > /in-base\n"), "-t", base, "--push")
    cache.seen.clear()
    there = _elsewhere(ocibuild)
    app, name = _app(ocibuild, base, _ADDED), f"{cache.address}/other/app:1"
    ocibuild.build(app, "-t", name, "--push", root=there)
    assert len(_fetched(cache)) == 1, "the config alone"
    assert ocibuild.check("--root", there, "images", "-q").split() != [], "the base's name stays"
    assert name.rpartition(":")[0] not in ocibuild.check("--root", there, "images")
    elsewhere = _elsewhere(ocibuild)
    ocibuild.check("--root", elsewhere, "pull", name)
    assert _shown(ocibuild, elsewhere, name, "/a.txt") == "hello\n"


def test_a_base_is_downloaded_where_another_registry_wants_it(
    ocibuild: Program, busybox_base: str, cache: Service
) -> None:
    app, name, there = _app(ocibuild, busybox_base, _ADDED), f"{cache.address}/team/app:1", _elsewhere(ocibuild)
    ocibuild.build(app, "-t", name, "--push", root=there)
    assert _shown(ocibuild, there, name, "/a.txt") == "hello\n"
    assert len(_layers(ocibuild, there, name)) == 2


def test_layers_go_from_a_cache_to_an_image_beside_it_without_us(
    ocibuild: Program, busybox_base: str, cache: Service
) -> None:
    spec, name = f"type=registry,ref={cache.address}/team/cache", f"{cache.address}/team/app:1"
    app = _app(ocibuild, busybox_base)
    ocibuild.build(app, "-t", f"{cache.address}/team/old:1", "--push", "--cache-to", spec, root=_elsewhere(ocibuild))
    cache.seen.clear()
    ocibuild.build(app, "-t", name, "--push", "--cache-from", spec, root=_elsewhere(ocibuild))
    assert _fetched(cache) == set()
    elsewhere = _elsewhere(ocibuild)
    ocibuild.check("--root", elsewhere, "pull", name)
    assert _shown(ocibuild, elsewhere, name, "/out").endswith("hello\n")


def test_no_cache_asks_none(ocibuild: Program, busybox_base: str, cache: Service) -> None:
    app, spec = _app(ocibuild, busybox_base), f"type=registry,ref={cache.address}/team/cache"
    ocibuild.build(app, "--no-cache", "--cache-from", spec)
    assert cache.seen == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--cache-from", "type=inline"), "such a cache is in an image"),
        (("--cache-to", "type=s3,bucket=x"), "--cache-to type=s3,bucket=x: type=s3 is not supported"),
        (("--cache-to", "type=registry"), "ref= is missing"),
    ],
)
def test_wrong_usage_is_said_before_anything_is_built(shared: Program, words: tuple[str, ...], message: str) -> None:
    context = shared.context("wrong", {"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
    built = shared.try_build(context, *words)
    assert built.status == 2
    assert message in built.stderr


def test_a_cache_of_another_tool_has_nothing_for_us(ocibuild: Program, busybox_base: str, cache: Service) -> None:
    """An image without an inline cache, under the name that was given for one."""
    name, app = f"{cache.address}/team/app:1", _app(ocibuild, busybox_base)
    ocibuild.build(app, "-t", name, "--push", root=_elsewhere(ocibuild))
    assert len(ocibuild.build(app, "--cache-from", name, root=_elsewhere(ocibuild)).ran("RUN")) == 3


def test_a_cache_that_has_nothing_is_a_warning(ocibuild: Program, busybox_base: str, cache: Service) -> None:
    """Its name may be wrong."""
    names = (f"{cache.address}/team/misspelt", str(ocibuild.user.home / "misspelt"))
    specs = (f"type=registry,ref={names[0]}", f"type=local,src={names[1]}")
    words = [word for spec in specs for word in ("--cache-from", spec)]
    built = ocibuild.build(_app(ocibuild, busybox_base), *words, root=_elsewhere(ocibuild))
    assert len(_warnings(built, f"the cache {names[0]}:latest has nothing for this build")) == 1
    assert len(_warnings(built, f"the cache {names[1]} has nothing for this build")) == 1


def test_a_folder_that_is_no_cache_is_a_warning(ocibuild: Program, busybox_base: str) -> None:
    folder = ocibuild.context("other", {"file": "something"})
    spec = f"type=local,src={folder}"
    built = ocibuild.build(
        _app(ocibuild, busybox_base), "--cache-from", spec, "--cache-to", f"type=local,dest={folder}"
    )
    assert _warnings(built, "was not written")
    shutil.rmtree(folder)
