"""Which findings there are of a whole Dockerfile: in which order, of which stages, with which settings."""

from __future__ import annotations

import time

import pytest

from ocibuild.dockerfile import parse
from ocibuild.dockerfile.lint import CheckSettings, Linter, Surroundings
from ocibuild.dockerfile.lint.watching import Speller
from ocibuild.errors import DockerfileError, LintFailed, SourceRange
from ocibuild.oci import RunConfig
from tests.unit.dockerfile.conversion.helpers import Images
from tests.unit.dockerfile.lint.helpers import told

LEGACY = "LegacyKeyValueFormat"


def places(text: str, **changes: object) -> list[tuple[int, str]]:
    found = [line.split(": ")[:2] for line in told(text, **changes)]
    return [(int(line), rule) for line, rule in found]


def test_the_order_is_that_of_the_look() -> None:
    text = "FROM a as B\nMAINTAINER c\nenv d e\nCMD f\nCMD g \\\n\n h\n"
    assert places(text) == [
        (7, "NoEmptyContinuation"),
        (1, "StageNameCasing"),
        (1, "FromAsCasing"),
        (2, "MaintainerDeprecated"),
        (3, "ConsistentInstructionCasing"),
        (3, LEGACY),
        (4, "JSONArgsRecommended"),
        (4, "MultipleInstructionsDisallowed"),
        (5, "JSONArgsRecommended"),
    ]


STAGES = "FROM a AS one\nENV b c\nFROM a AS unused\nENV d e\nFROM one AS two\nENV f g\nFROM a AS last\nENV h i\n"


@pytest.mark.parametrize(
    ("target", "lines"), [(None, [2, 4, 6, 8]), ("two", [2, 6]), ("last", [8])], ids=["none", "two", "last"]
)
def test_a_target_and_what_it_needs_are_looked_at(target: str | None, lines: list[int]) -> None:
    assert places(STAGES, target=target) == [(line, LEGACY) for line in lines]


def test_nothing_is_found_behind_an_error() -> None:
    assert places("FROM a\nENV b c\nUSER ${d:?e}\nENV f g\n") == [(2, LEGACY), (3, "UndefinedVar")]


def test_a_trigger_is_looked_at_where_it_is_pulled() -> None:
    images = Images({"a": RunConfig(on_build=("ENV b c", "USER $d"))})
    assert places("# x\nFROM a\n", images=images) == [(2, LEGACY), (2, "UndefinedVar")]


def test_a_variable_or_a_shell_of_the_base_counts() -> None:
    images = Images({"a": RunConfig(env=("B=1",), shell=("/bin/sh",))})
    assert places("FROM a\nUSER $B\nCMD c\n", images=images) == []


@pytest.mark.parametrize(
    ("text", "missed"),
    [
        ("ENV a=${b:-1} c=${d+2} e=${f%x} g=${h/x/y}", "bdfh"),
        ("ENV a=${b:-$c}", "cb"),
        ("ENV a=$b$b c=$b", "bb"),
        ("ENV a='$b' c=\\$d e=\"$f\" g$h=1", "fh"),
        ("COPY --chown=$a --chmod=$b $c $d", "abcd"),
        ("RUN --mount=type=cache,id=$a,target=/$b $c", "ab"),
        ("VOLUME /$a /$b", "ab"),
        ("ARG a=$b c=$a d=$e e=1", "be"),
        ("COPY <<e /f\n$a '$b' \"$c\" \\$d\ne", "abc"),
        ("COPY <<'e' /f\n$a\ne", ""),
        ("ARG BUILDKIT_X=$BUILDKIT_SBOM_SCAN_STAGE", ""),
    ],
)
def test_undefined_variables_are_those_that_are_looked_for(text: str, missed: str) -> None:
    found = [line.split("'$")[1][0] for line in told(f"FROM x\n{text}\n") if "UndefinedVar" in line]
    assert "".join(found) == missed


def test_a_near_name_may_stand_in_the_same_arg() -> None:
    assert told("FROM a\nARG version=1 b=$verson\n") == [
        "2: UndefinedVar: Usage of undefined variable '$verson' (did you mean $version?)"
    ]


@pytest.mark.parametrize(
    ("word", "known", "near"),
    [
        ("verson", ["version", "person"], "version"),
        ("abc", ["xyz"], ""),
        ("ab", ["xy"], "xy"),
        ("version", ["vesrion"], "vesrion"),
        ("Path", ["PATH"], ""),
        ("x" * 65, ["x" * 64], ""),
        ("a", [], ""),
    ],
)
def test_a_near_name_is_two_letters_away(word: str, known: list[str], near: str) -> None:
    assert Speller().similar(word, known) == near


def test_the_search_for_near_names_has_an_end() -> None:
    names = [f"name{number:05}" for number in range(1000)]
    speller = Speller(budget=1000)
    assert speller.similar("name_0001", names) == "name00001"
    assert speller.similar("name_0999", names) == ""


def test_a_large_file_is_looked_at_in_little_time() -> None:
    lines = [f"ENV VARIABLE_{number}=$NOTHING_{number}" for number in range(2_000)]
    begun = time.monotonic()
    assert len(told("FROM a\n" + "\n".join(lines))) == 2_000
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("", CheckSettings()),
        (" skip = A, B ", CheckSettings(skip=frozenset({"A", "B"}))),
        ("skip=all", CheckSettings(skip=frozenset({"all"}))),
        ("error=true;experimental=C", CheckSettings(experimental=frozenset({"C"}), error=True)),
        ("error=F", CheckSettings()),
        ("skip=a;error=1;skip=b;c", CheckSettings(skip=frozenset({"b;c"}), error=True)),
    ],
)
def test_settings_are_read(text: str, settings: CheckSettings) -> None:
    assert CheckSettings.parse(text) == settings


@pytest.mark.parametrize("text", ["skip", "nothing=all", "error=perhaps", "skip=all;", "parse=x"])
def test_wrong_settings_are_refused(text: str) -> None:
    with pytest.raises(DockerfileError, match="invalid check option"):
        CheckSettings.parse(text)


def test_a_build_argument_stands_in_for_the_directive() -> None:
    assert CheckSettings.of("skip=A", {}).skip == {"A"}
    assert CheckSettings.of("skip=A", {"BUILDKIT_DOCKERFILE_CHECK": "skip=B"}).skip == {"B"}
    assert CheckSettings.of("skip=A", {"BUILDKIT_DOCKERFILE_CHECK": ""}) == CheckSettings()


def test_a_wrong_directive_has_its_place_and_a_wrong_build_argument_none() -> None:
    place = SourceRange("Dockerfile", 2, 2)
    with pytest.raises(DockerfileError) as caught:
        CheckSettings.of("skips=A", {}, place)
    assert caught.value.location == place
    with pytest.raises(DockerfileError) as caught:
        CheckSettings.of("skip=A", {"BUILDKIT_DOCKERFILE_CHECK": "skips=A"}, place)
    assert caught.value.location is None


BOTH = "#\n# wrong\nARG a\nFROM b\nENV c d\nCMD e\n"


@pytest.mark.parametrize(
    ("settings", "rules"),
    [
        ("", [LEGACY, "JSONArgsRecommended"]),
        (f"skip={LEGACY}", ["JSONArgsRecommended"]),
        ("skip=all", []),
        ("skip=all;experimental=all", ["InvalidDefinitionDescription"]),
        ("experimental=InvalidDefinitionDescription", ["InvalidDefinitionDescription", LEGACY, "JSONArgsRecommended"]),
        ("skip=all;experimental=CopyIgnoredFile", []),
    ],
)
def test_settings_choose_the_rules(settings: str, rules: list[str]) -> None:
    assert [rule for _, rule in places(BOTH, settings=CheckSettings.parse(settings))] == rules


def judged(text: str, settings: str) -> None:
    dockerfile = parse(text.encode(), file="Dockerfile")
    linter = Linter(CheckSettings.parse(settings), Surroundings({}, lambda _: False))
    linter.read_part(dockerfile)
    linter.judge()


def test_a_finding_is_an_error_where_that_is_wanted() -> None:
    text = "FROM a as B\nMAINTAINER c\nMAINTAINER d\n"
    judged(text, "")
    judged(text, "error=true;skip=all")
    with pytest.raises(LintFailed) as caught:
        judged(text, "error=true")
    assert caught.value.message == (
        "lint violation found for rules: StageNameCasing, FromAsCasing, MaintainerDeprecated"
    )
