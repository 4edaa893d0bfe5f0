"""COPY and ADD with --chmod in letters, --exclude, --parents and --link.

What is expected here was tried against the BuildKit of docker 28, but for --parents, which its frontend does not have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ocibuild.executor import Forced
from ocibuild.machine import Machine
from tests.unit.solver.bench import SHELL
from tests.unit.solver.test_archive import tar
from tests.unit.solver.test_copy import built, changes, kit

if TYPE_CHECKING:
    from tests.unit.solver.bench import Bench

__all__ = ["kit"]

_ONE = "-0644 0:0 one"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("COPY --chmod=go= one /p/new", {"p": "d0755 0:0", "p/new": "-0600 0:0 one"}),
        ("COPY --chmod=+x one /d750/", {"d750/one": "-0755 0:0 one"}),
        ("COPY --chmod=u=rwX,go=rX src /new", {"new": "d0755 0:0", "new/x": "-0644 0:0 x", "new/sub": "d0755 0:0",
            "new/sub/y": "-0755 0:0 y", "new/ln": "l 0:0 x"}),
        ("COPY --chmod=go-w,u+s src /d750", {"d750/x": "-4640 0:0 x", "d750/sub": "d6750 0:0",
            "d750/sub/y": "-4755 0:0 y", "d750/ln": "l 0:0 x"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_mode_in_letters_changes_that_of_each_file(kit: Bench, lines: str, expected: dict[str, str]) -> None:
    assert changes(kit, lines) == expected


def test_exclude_leaves_out_what_is_below_a_directory(kit: Bench) -> None:
    assert changes(kit, "COPY --exclude=sub --exclude=ln src /new") == {"new": "d0755 0:0", "new/x": "-0640 0:0 x"}
    assert changes(kit, "COPY --exclude=one one /new") == {"new": _ONE}
    assert changes(kit, "COPY --exclude=* src /new") == {"new": "d0755 0:0"}


def test_a_directory_that_is_only_a_parent_changes_no_more_than_the_mode_of_the_one_there(kit: Bench) -> None:
    kit.write("over/sub/deep/new", "new")
    (kit.context / "over/sub").chmod(0o711)
    lines = "COPY --chown=5:6 base/d750 /there\nCOPY --chown=7:8 --chmod=u=rwX,go= {} over /there"
    partly = changes(kit, lines.format("--exclude=sub --exclude=!sub/deep/new"))
    assert (partly["there/sub"], partly["there/sub/deep"]) == ("d0711 5:6", "d0700 7:8")
    assert partly["there/sub/deep/new"] == "-0600 7:8 new"
    assert changes(kit, lines.format(""))["there/sub"] == "d0700 7:8"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("COPY --parents src/sub/y /new", {"new": "d0755 0:0", "new/src": "d0711 0:0", "new/src/sub": "d2770 0:0",
            "new/src/sub/y": "-4755 0:0 y"}),
        ("COPY --parents src/./sub/y /new/", {"new": "d0755 0:0", "new/sub": "d2770 0:0", "new/sub/y": "-4755 0:0 y"}),
        ("COPY --parents **/y /", {"src": "d0711 0:0", "src/sub": "d2770 0:0", "src/sub/y": "-4755 0:0 y"}),
        ("COPY --parents --chown=5:6 --chmod=700 src/sub/y /n/", {"n": "d0700 5:6", "n/src": "d0700 5:6",
            "n/src/sub": "d0700 5:6", "n/src/sub/y": "-0700 5:6 y"}),
        ("COPY --parents one srcln /new/", {"new": "d0755 0:0", "new/one": _ONE, "new/srcln": "l 0:0 src"}),
        ("COPY --parents zz* /new/", {"new": "d0755 0:0"}),
        ("COPY --parents zz*/./x /new/", {}),
        ("COPY --parents --exclude=**/y src/sub/ /new/", {"new": "d0755 0:0", "new/src": "d0711 0:0",
            "new/src/sub": "d2770 0:0"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_parents_keeps_the_directories_above(kit: Bench, lines: str, expected: dict[str, str]) -> None:
    assert changes(kit, lines) == expected


def test_parents_over_directories_that_are_there_changes_no_more_than_their_modes(kit: Bench) -> None:
    found = changes(kit, "COPY --chown=5:6 --chmod=700 src /src\nCOPY --parents --chown=7:8 src/sub/y /")
    assert found["src"] == "d0711 5:6"
    assert found["src/sub"] == "d2770 5:6"
    assert found["src/sub/y"] == "-4755 7:8 y"


def test_parents_works_with_stages(kit: Bench) -> None:
    stage = "FROM scratch AS made\nCOPY --chown=3:4 src /o/src\n"
    result = kit.build(f"{stage}FROM scratch\nCOPY --from=made --parents /o/./src/**/y /new/")
    assert result.tree == {
        "new": "d0755 0:0",
        "new/src": "d0755 3:4",
        "new/src/sub": "d2770 3:4",
        "new/src/sub/y": "-4755 3:4 y",
    }


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("COPY --link one /d750/", {"d750": "d0755 0:0", "d750/one": _ONE}),
        ("COPY --link src /d750", {"d750": "d0755 0:0", "d750/x": "-0640 0:0 x", "d750/sub": "d2770 0:0",
            "d750/sub/y": "-4755 0:0 y", "d750/ln": "l 0:0 x"}),
        ("COPY --link one /todir/", {"todir": "d0755 0:0", "todir/one": _ONE}),
        ("COPY --link one /dangling", {"dangling": _ONE}),
        ("COPY --link one /file/below", {"file": "d0755 0:0", "file/below": _ONE}),
        ("COPY --link one /d750", {"d750": _ONE, "d750/keep": "", "d750/sub": "", "d750/sub/old": ""}),
        ("COPY --link --chown=5:6 one /d750/", {"d750": "d0755 5:6", "d750/one": "-0644 5:6 one"}),
        ("COPY --link --parents src/sub/y /d750/", {"d750": "d0755 0:0", "d750/src": "d0711 0:0",
            "d750/src/sub": "d2770 0:0", "d750/src/sub/y": "-4755 0:0 y"}),
        ("COPY --link zz* /new/", {}),
        ("ADD --link a.tar /d750/", {"d750": "d0755 0:0", "d750/n": "-0600 7:8 x"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_linked_copy_does_not_look_at_what_lies_below(kit: Bench, lines: str, expected: dict[str, str]) -> None:
    kit.write("a.tar", tar([("n", "-", 0o600, 7, 8, "x")]))
    assert changes(kit, lines) == expected


def test_a_linked_copy_stays_cached_where_its_base_changes(kit: Bench) -> None:
    lines = "FROM scratch\nCOPY {} /x\nCOPY --link src /src\nCOPY two /y\n"
    assert not kit.build(lines.format("one")).error
    again = kit.build(lines.format("two"))
    assert (again.did("--link"), again.did("COPY two /x"), again.did("COPY two /y")) == ("cached", "ran", "ran")
    assert again.tree["x"] == "-0755 0:0 two"
    assert again.tree["src/x"] == "-0640 0:0 x"


def test_steps_on_linked_copies_see_all_that_lies_below(kit: Bench) -> None:
    kit.add_shell()
    lines = 'FROM scratch\nCOPY busybox /bin/busybox\nSHELL ["/bin/busybox", "sh", "-c"]\nRUN echo made > /made\n'
    lines += "COPY --link one /d/\nCOPY --link two /d/\nRUN busybox cat /made /d/one /d/two > /all\n"
    result = kit.build(lines)
    assert not result.error, result.error
    assert result.tree["all"] == "-0644 0:0 made\nonetwo"


@pytest.mark.parametrize("snapshotter", ["overlay", "copy"])
def test_a_linked_copy_that_comes_again_shows_above_what_came_between(kit: Bench, snapshotter: str) -> None:
    kit.add_shell()
    lines = f"{SHELL}COPY --link src /d\nRUN rm -r /d/sub && echo 2 > /d/x && echo 3 > /d/new\nCOPY --link src /d\n"
    forced = Forced(snapshotter=snapshotter)
    result = kit.build(f"{lines}RUN cat /d/x /d/new /d/sub/*", machine=lambda: Machine.enter(forced), forced=forced)
    assert not result.error, result.error
    assert result.output.split() == ["x3", "y"]


@pytest.mark.parametrize(
    ("dockerfile", "named"),
    [
        ("FROM scratch\nCOPY base/ /\nCOPY --link --chown=app one /new\n", "'app'"),
        ("FROM scratch\nCOPY base/ /\nCOPY --link --chown=5:staff one /new\n", "'staff'"),
        ("FROM scratch\nCOPY --chown=app one /new\n", "'app'"),
    ],
)
def test_a_name_that_cannot_be_looked_up_is_an_error(kit: Bench, dockerfile: str, named: str) -> None:
    error = kit.build(dockerfile).error
    assert f"the owner {named} is a name" in error
    assert error.startswith(f"{kit.context}/Dockerfile:")
    assert not kit.build(dockerfile.replace("=app", "=root").replace("staff", "root")).error


def test_an_archive_that_is_not_to_be_unpacked_is_copied(kit: Bench) -> None:
    kit.write("a.tar", tar([("n", "-", 0o600, 7, 8, "x")]))
    assert set(changes(kit, "ADD --unpack=false a.tar one /new/")) == {"new", "new/a.tar", "new/one"}
    assert set(changes(kit, "ADD --unpack=true a.tar /new/")) == {"new", "new/n"}


def test_inline_files_have_always_the_same_time_and_are_no_patterns(kit: Bench) -> None:
    kit.write("axb", "of the context")
    dockerfile = "FROM scratch\nCOPY --chmod=711 --chown=5:6 <<a*b one /new/\ninline\na*b\n"
    result = kit.build(dockerfile)
    assert result.tree == {"new": "d0711 5:6", "new/a*b": "-0711 5:6 inline\n", "new/one": "-0711 5:6 one"}
    assert result.times["new/a*b"] == 315_532_800  # of 1980
    assert kit.build(dockerfile).image == result.image


def test_a_linked_copy_with_a_mode_is_none_as_in_docker(kit: Bench) -> None:
    assert changes(kit, "COPY --link --chmod=711 one /todir/") == {"d750/one": "-0711 0:0 one"}
    assert not built(kit, "COPY --link --chmod=711 --chown=app one /todir/").error
