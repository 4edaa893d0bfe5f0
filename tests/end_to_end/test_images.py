"""``images``, ``rmi``, ``inspect`` and ``history``, as somebody types them who knows docker."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.program import Program

HOUR = 3600
TEXT = """\
FROM scratch
LABEL kind={name} even=
COPY file /file
ENV PATH=/bin
EXPOSE 6379
CMD ["/{name}", "--with", "<arguments>"]
"""


@dataclass(frozen=True, slots=True)
class Shop:
    """A store of its own with images: ``ids`` by the names that they were built with."""

    program: Program
    store: Path
    ids: dict[str, str]

    def run(self, *words: str | Path, status: int = 0) -> str:
        result = self.program.run("--root", self.store, *words)
        assert result.returncode == status, result.stderr
        return result.stdout if status == 0 else result.stderr

    def build(self, *names: str, epoch: int = 0) -> str:
        """Build an image with one name or none, and return its ID."""
        name = names[0] if names else "nameless"
        context = self.program.context("shop", {"Dockerfile": TEXT.format(name=name.partition(":")[0]), "file": name})
        words = ("-q", *(word for one in names for word in ("-t", one)))
        self.ids[name] = self.run("build", *words, "--build-arg", f"SOURCE_DATE_EPOCH={epoch}", context).strip()
        return self.ids[name]

    def names(self, *words: str) -> list[str]:
        return self.run("images", "--format", "{{.Repository}}:{{.Tag}}", *words).split()


@pytest.fixture
def shop(ocibuild: Program) -> Iterator[Shop]:
    store = ocibuild.user.home / "shop-store"
    yield Shop(ocibuild, store, {})
    ocibuild.run("--root", store, "prune", "--all")


@pytest.fixture(scope="module")
def full(shared: Program) -> Shop:
    """A store with four images: an hour lies between each and the next."""
    shop = Shop(shared, shared.user.home / "full", {})
    shop.build("one:1", epoch=HOUR)
    shop.build("team/two:1", "team/two:edge", "registry.example:5000/team/two:1", epoch=2 * HOUR)
    shop.build(epoch=3 * HOUR)
    shop.build("three", epoch=4 * HOUR)
    return shop


def test_the_newest_is_the_first(full: Shop) -> None:
    assert full.names() == [
        "three:latest",
        "<none>:<none>",
        "registry.example:5000/team/two:1",
        "team/two:edge",
        "team/two:1",
        "one:1",
    ]


def test_the_table_is_dockers(full: Shop) -> None:
    heading, *lines = full.run("images").splitlines()
    assert re.fullmatch(r"REPOSITORY +TAG +IMAGE ID +CREATED +SIZE", heading)
    assert lines[0].split()[:3] == ["three", "latest", full.ids["three"][7:19]]
    assert re.fullmatch(r"three +latest +[0-9a-f]{12} +\d+ years ago +[\d.]+k?B", lines[0])
    with_digests = full.run("images", "--digests", "--no-trunc").splitlines()
    assert re.fullmatch(r"REPOSITORY +TAG +DIGEST +IMAGE ID +CREATED +SIZE", with_digests[0])
    assert re.fullmatch(r"one +1 +sha256:[0-9a-f]{64} +" + full.ids["one:1"] + r" .*", with_digests[-1])


def test_quiet_prints_an_id_a_line(full: Shop) -> None:
    two = full.ids["team/two:1"]
    assert full.run("images", "-q", "--no-trunc").split() == [
        full.ids["three"], full.ids["nameless"], two, two, two, full.ids["one:1"]
    ]  # fmt: skip
    assert full.run("image", "ls", "-aq", "one").split() == [full.ids["one:1"][7:19]]


FILTERS = {
    "a name": (["reference=one"], ["one:1"]),
    "a name with its tag": (["reference=team/two:edge"], ["team/two:edge"]),
    "a pattern": (["reference=t*"], ["three:latest"]),
    "a pattern with a slash": (["reference=*/two"], ["team/two:edge", "team/two:1"]),
    "a pattern of a tag": (["reference=*/two:e*"], ["team/two:edge"]),
    "a registry": (["reference=registry.example:5000/*/*"], ["registry.example:5000/team/two:1"]),
    "one of two names": (["reference=one", "reference=three"], ["three:latest", "one:1"]),
    "a label": (["label=even", "reference=one"], ["one:1"]),
    "a label with its value": (["label=kind=three"], ["three:latest"]),
    "labels that must all be there": (["label=kind=three", "label=kind=one"], []),
    "a label that is not there": (["label=absent"], []),
    "before": (["before=team/two:1"], ["one:1"]),
    "since": (["since=team/two:1"], ["three:latest", "<none>:<none>"]),
    "between": (["since=one:1", "before=three", "dangling=false"],
        ["registry.example:5000/team/two:1", "team/two:edge", "team/two:1"]),
    "until": (["until=1970-01-01T02:30:00Z", "reference=*"], ["one:1"]),
    "dangling": (["dangling=true"], ["<none>:<none>"]),
    "not dangling": (["dangling=0", "reference=*"], ["three:latest", "one:1"]),
}  # fmt: skip


@pytest.mark.parametrize(("filters", "expected"), FILTERS.values(), ids=FILTERS)
def test_filters(full: Shop, filters: list[str], expected: list[str]) -> None:
    assert full.names(*(word for one in filters for word in ("--filter", one))) == expected


@pytest.mark.parametrize("one", ["size=1", "label", "dangling=perhaps", "until=soon", "reference=[a", "="])
def test_a_filter_that_is_none_is_refused_by_name(full: Shop, one: str) -> None:
    (line,) = full.run("images", "--filter", one, status=2).splitlines()
    assert line.startswith(f"ocibuild: --filter {one}")
    assert "no such image" in full.run("images", "--filter", "before=absent", status=1)


FORMATS = {
    "members": ("{{.Repository}} {{.Tag}} {{.Size}} {{.CreatedAt}}", "one 1 SIZE 1970-01-01 01:00:00 +0000 UTC\n"),
    "the end of a line": (r"{{.Tag}}\n", "1\n\n"),
    "a table": (r"table {{.Repository}}\t{{.Tag}}", "REPOSITORY   TAG\none          1\n"),
    "a table of one column": ("table {{.Repository}}:{{.Tag}}", "REPOSITORY:TAG\none:1\n"),
    "a table that changes what it shows": (r"table {{upper .Repository}}", "REPOSITORY\nONE\n"),
}


@pytest.mark.parametrize(("form", "expected"), FORMATS.values(), ids=FORMATS)
def test_formats_of_a_list(full: Shop, form: str, expected: str) -> None:
    row = json.loads(full.run("images", "--format", "json", "one"))
    assert set(row) == {
        "Containers", "CreatedAt", "CreatedSince", "Digest", "ID", "Repository", "SharedSize", "Size", "Tag",
        "UniqueSize", "VirtualSize",
    }  # fmt: skip
    assert full.run("images", "--format", form, "one") == expected.replace("SIZE", row["Size"], 1)


def test_formats_of_one_image(full: Shop) -> None:
    def shown(form: str, *names: str) -> str:
        return full.run("inspect", "--format", form, *(names or ("one:1",)))

    assert shown("{{.Id}}") == full.ids["one:1"] + "\n"
    assert shown("{{.Config.Cmd}} {{.Config.Entrypoint}}") == "[/one --with <arguments>] []\n"
    assert shown("{{json .Config.Cmd}}") == '["/one","--with","<arguments>"]\n'
    assert shown("{{.Config.ExposedPorts}}") == "map[6379/tcp:{}]\n"
    assert shown('{{index .Config.Labels "kind"}}', "one:1", "three") == "one\nthree\n"
    assert shown("{{range .RepoTags}}{{println .}}{{end}}", "team/two:1") == (
        "registry.example:5000/team/two:1\nteam/two:edge\nteam/two:1\n\n"
    )
    assert [one["Id"] for one in json.loads(shown("json", "one:1", "three"))] == [full.ids["one:1"], full.ids["three"]]
    assert (
        full.run("image", "inspect", "-f", "{{.Os}}/{{.Architecture}}", "--type", "image", "one:1") == "linux/amd64\n"
    )
    assert "there is no member 'Nope'" in full.run("inspect", "-f", "{{.Nope}}", "one:1", status=2)


def test_what_is_there_is_shown_beside_what_is_not(full: Shop) -> None:
    result = full.program.run("--root", full.store, "inspect", "absent", "one:1", "none")
    assert result.returncode == 1
    assert [one["Id"] for one in json.loads(result.stdout)] == [full.ids["one:1"]]
    assert [line.split(":")[1] for line in result.stderr.splitlines()] == [" absent", " none"]


def test_formats_of_a_history(full: Shop) -> None:
    shown = full.run("history", "--format", "{{.CreatedBy}}|{{.Size}}|{{.Comment}}", "--no-human", "one:1").splitlines()
    assert shown[0] == 'CMD ["/one" "--with" "<arguments>"]|0|buildkit.dockerfile.v0'
    assert re.fullmatch(r"COPY file /file # buildkit\|[1-9]\d+\|buildkit.dockerfile.v0", shown[3])
    assert set(json.loads(full.run("history", "--format", "json", "one:1").splitlines()[0])) == {
        "Comment", "CreatedAt", "CreatedBy", "CreatedSince", "ID", "Size"
    }  # fmt: skip
    assert full.run("history", "-q", "--no-trunc", "one:1").split()[0] == full.ids["one:1"]
    assert "1970-01-01T01:00:00Z" in full.run("history", "-H", "--no-human", "one:1")


def test_a_name_is_removed_and_the_last_takes_the_image(shop: Shop) -> None:
    image_id = shop.build("a:1")
    shop.run("tag", "a:1", "b:1")
    assert shop.run("rmi", "a:1") == "Untagged: a:1\n"
    assert shop.names() == ["b:1"]
    assert shop.run("image", "rm", "b:1") == f"Untagged: b:1\nDeleted: {image_id}\n"
    assert shop.names() == []
    assert not (shop.store / "blobs/sha256" / image_id[7:]).exists()
    assert shop.run("rmi", "b:1", status=1) == "ocibuild: b:1: no such image in the store\n"


def test_a_name_comes_before_an_id_that_begins_so(shop: Shop) -> None:
    image_id, other = shop.build("a:1"), shop.build("b:1")
    name = image_id[7:19]
    shop.run("tag", "b:1", name)
    assert shop.run("inspect", "--format", "{{.Id}}", name) == f"{other}\n"
    assert "would be taken for a digest" in shop.run("tag", name, "sha256:abcd", status=1)
    shop.run("tag", name, "moved:1")
    assert shop.run("inspect", "--format", "{{.Id}}", "moved:1") == f"{other}\n"
    assert shop.run("rmi", name) == f"Untagged: {name}:latest\n"
    assert sorted(shop.names()) == ["a:1", "b:1", "moved:1"]
    assert shop.run("rmi", image_id[7:19]) == f"Untagged: a:1\nDeleted: {image_id}\n"


def test_an_image_with_several_names_is_not_removed_by_its_id(shop: Shop) -> None:
    image_id = shop.build("a:1", "b:1")
    (line,) = shop.run("rmi", image_id[7:19], status=1).splitlines()
    assert line == f"ocibuild: {image_id[7:19]}: the image has 2 names (remove it by name, or use --force)"
    assert len(shop.names()) == 2
    assert shop.run("rmi", "-f", image_id[7:19]).splitlines()[-1] == f"Deleted: {image_id}"
    assert shop.names() == []


def test_an_image_with_one_name_or_none_is_removed_by_its_id(shop: Shop) -> None:
    nameless, named = shop.build(), shop.build("a:1")
    assert shop.run("rmi", nameless, named[7:19]) == f"Deleted: {nameless}\nUntagged: a:1\nDeleted: {named}\n"
    assert shop.run("images", "-q") == ""


def test_a_digest_means_all_names_of_its_repository(shop: Shop) -> None:
    shop.build("a:1", "a:2", "b:1")
    digest = json.loads(shop.run("inspect", "a:1"))[0]["Descriptor"]["digest"]
    assert shop.run("rmi", f"a@{digest}").splitlines() == [f"Untagged: a:{one}" for one in "12"]
    assert shop.names() == ["b:1"]


def test_what_one_cannot_remove_does_not_keep_the_others(shop: Shop) -> None:
    shop.build("a:1")
    assert "absent:latest: no such image" in shop.run("rmi", "absent", "a:1", status=1)
    assert shop.names() == []
    assert shop.run("rmi", "--force", "absent") == ""


def test_what_another_image_has_stays(shop: Shop) -> None:
    """Two images of one base: its layer stays with the second, and the second stays sound."""
    base = shop.build("base")
    context = shop.program.context("on-base", {"Dockerfile": "FROM base\nLABEL more=yes\n"})
    shop.run("build", "-q", "-t", "more", context)
    assert shop.run("rmi", "base").splitlines()[-1] == f"Deleted: {base}"
    shop.run("validate", "more")
    shop.run("rmi", "more")


def test_removing_an_image_gives_its_room_back(shop: Shop, busybox_base: str) -> None:
    shop.run("pull", "-q", busybox_base)
    assert list(shop.store.glob("snapshots/*"))
    shop.run("rmi", "--no-prune", busybox_base)
    assert list(shop.store.glob("snapshots/*"))
    shop.run("pull", "-q", busybox_base)
    shop.run("rmi", busybox_base)
    assert not list(shop.store.glob("snapshots/*"))
    assert not list(shop.store.glob("blobs/sha256/*"))
    shop.run("pull", "-q", busybox_base)
    shop.run("validate", busybox_base)
