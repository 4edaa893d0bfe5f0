"""Each rule: what breaks it, what keeps it, and its words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ocibuild.dockerfile.lint import RULES
from ocibuild.oci import ImageConfig, Platform, RunConfig
from tests.unit.dockerfile.conversion.helpers import Images
from tests.unit.dockerfile.lint.helpers import found, told

BROKEN = [
    ("FROM a AS Up", "1: StageNameCasing: Stage name 'Up' should be lowercase"),
    ("FROM a as up", "1: FromAsCasing: 'as' and 'FROM' keywords' casing do not match"),
    ("FROM a As up", "1: FromAsCasing: 'As' and 'FROM' keywords' casing do not match"),
    ("FROM a\nRUN b \\\n\n  c", "4: NoEmptyContinuation: Empty continuation line"),
    (
        "FROM a\nenv B=1",
        "2: ConsistentInstructionCasing: Command 'env' should match the case of the command majority (uppercase)",
    ),
    (
        "from a\nEnv B=1\nrun c",
        "2: ConsistentInstructionCasing: Command 'Env' should match the case of the command majority (lowercase)",
    ),
    (
        "FROM a AS b\nFROM a AS b",
        '2: DuplicateStageName: Duplicate stage name "b", stage names should be unique',
    ),
    (
        "FROM a AS context",
        '1: ReservedStageName: Stage name should not use the same name as reserved stage "context"',
    ),
    (
        "FROM a\nCMD b",
        (
            "2: JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior related to OS "
            "signals"
        ),
    ),
    ("FROM a\nMAINTAINER b", "2: MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label"),
    ("FROM a${b}", "1: UndefinedArgInFrom: FROM argument 'b' is not declared"),
    (
        "ARG version=1\nFROM a:1${verson}",
        "2: UndefinedArgInFrom: FROM argument 'verson' is not declared (did you mean version?)",
    ),
    (
        "FROM a\nWORKDIR b",
        '2: WorkdirRelativePath: Relative workdir "b" can have unexpected results if the base image changes',
    ),
    ("FROM a\nUSER $name", "2: UndefinedVar: Usage of undefined variable '$name'"),
    (
        "FROM a\nENV name=1\nUSER $nane",
        "3: UndefinedVar: Usage of undefined variable '$nane' (did you mean $name?)",
    ),
    (
        'FROM a\nCMD ["b"]\nCMD ["c"]',
        (
            "2: MultipleInstructionsDisallowed: Multiple CMD instructions should not be used in the same stage because "
            "only the last one will be used"
        ),
    ),
    (
        "FROM a\nENV b c",
        '2: LegacyKeyValueFormat: "ENV key=value" should be used instead of legacy "ENV key value" format',
    ),
    (
        "FROM --platform=$TARGETPLATFORM a",
        (
            "1: RedundantTargetPlatform: Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this "
            "is the default behavior"
        ),
    ),
    (
        "FROM a\nARG API_KEY",
        '2: SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ARG "API_KEY")',
    ),
    (
        "ARG b\nFROM $b",
        "2: InvalidDefaultArgInFrom: Default value for ARG $b results in empty or invalid base image name",
    ),
    (
        "FROM --platform=linux/arm64 a",
        '1: FromPlatformFlagConstDisallowed: FROM --platform flag should not use constant value "linux/arm64"',
    ),
    ("FROM a\nCOPY left /", '2: CopyIgnoredFile: Attempting to Copy file "left" that is excluded by .dockerignore'),
    ("FROM a\nADD left /", '2: CopyIgnoredFile: Attempting to Add file "left" that is excluded by .dockerignore'),
    (
        "#\n# c\nARG b\nFROM d",
        "3: InvalidDefinitionDescription: Comment for ARG should follow the format: `# b <description>`",
    ),
    (
        "FROM a\nEXPOSE 80/TCP",
        "2: ExposeProtoCasing: Defined protocol '80/TCP' in EXPOSE instruction should be lowercase",
    ),
    (
        "FROM a\nEXPOSE 80:80",
        (
            "2: ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port mapping, found "
            "'80:80'"
        ),
    ),
]

KEPT = [
    ("FROM a AS low", "StageNameCasing"),
    ("FROM a AS b\nfrom a as c\nFrom a As d", "FromAsCasing"),
    ("FROM a\nRUN b \\\n  # comment\n  c\n\nRUN d", "NoEmptyContinuation"),
    ("arg a\nFROM a\nENV b=1", "ConsistentInstructionCasing"),
    ("FROM a AS b\nFROM a AS c", "DuplicateStageName"),
    ("FROM a AS contexts", "ReservedStageName"),
    ('FROM a\nCMD ["b"]', "JSONArgsRecommended"),
    ('FROM a\nSHELL ["b"]\nCMD b\nENTRYPOINT c', "JSONArgsRecommended"),
    ("FROM a\nLABEL maintainer=b", "MaintainerDeprecated"),
    ("ARG b\nFROM a${b}${TARGETARCH}", "UndefinedArgInFrom"),
    ("FROM a\nWORKDIR /b\nWORKDIR c", "WorkdirRelativePath"),
    ("FROM a AS b\nWORKDIR /b\nFROM b\nWORKDIR c", "WorkdirRelativePath"),
    ("FROM a\nENV b=1\nARG c\nUSER $b$c$PATH\\$d", "UndefinedVar"),
    ("FROM a AS one\nARG b\nFROM one\nUSER $b", "UndefinedVar"),
    ('FROM a\nRUN $b\nCMD ["$c"]\nEXPOSE 80$d', "UndefinedVar"),
    ('FROM a AS b\nCMD ["c"]\nFROM b\nCMD ["d"]', "MultipleInstructionsDisallowed"),
    ("FROM a\nENV b=c\nLABEL d=e", "LegacyKeyValueFormat"),
    ("FROM a", "InvalidBaseImagePlatform"),
    ("FROM --platform=$BUILDPLATFORM a\nFROM --platform=$TARGETOS/$TARGETARCH a", "RedundantTargetPlatform"),
    ("FROM a\nARG MONKEY\nENV PUBLIC_KEY=1 TOKENS=2\nLABEL secret=3", "SecretsUsedInArgOrEnv"),
    ("ARG b=c\nFROM $b", "InvalidDefaultArgInFrom"),
    ("FROM --platform=linux/arm64 a AS arm64\nFROM --platform=$BUILDPLATFORM a", "FromPlatformFlagConstDisallowed"),
    ("FROM a\nCOPY right /\nCOPY --from=b left /\nADD http://c/left /", "CopyIgnoredFile"),
    ("#\n# b is c\nARG b\n# c\n\n# d is e\nFROM a AS d\n# f\nFROM a", "InvalidDefinitionDescription"),
    ("FROM a\nEXPOSE 80/tcp 81-82/udp 83", "ExposeProtoCasing"),
    ("FROM a\nEXPOSE 80/tcp 81-82/udp 83", "ExposeInvalidFormat"),
]


@pytest.mark.parametrize(("text", "told_of"), BROKEN, ids=[told_of.split(": ")[1] for _, told_of in BROKEN])
def test_what_breaks_a_rule_is_found(text: str, told_of: str) -> None:
    assert told_of in told(text, ignored={"left"})


@pytest.mark.parametrize(("text", "rule"), KEPT, ids=[rule for _, rule in KEPT])
def test_what_keeps_a_rule_is_not_found(text: str, rule: str) -> None:
    assert rule not in {finding.rule.name for finding in found(text, ignored={"left"})}


def test_every_rule_is_in_both_tables() -> None:
    names = {rule.name for rule in RULES}
    assert {rule for _, rule in KEPT} == names
    assert {told_of.split(": ")[1] for _, told_of in BROKEN} == names - {"InvalidBaseImagePlatform"}


def test_an_image_for_another_machine_is_found() -> None:
    other = ImageConfig(platform=Platform("linux", "arm64", "v8"), config=RunConfig())
    assert told("FROM a", images=Images(whole={"a": other})) == [
        (
            '1: InvalidBaseImagePlatform: Base image a was pulled with platform "linux/arm64", expected '
            '"linux/amd64" for current build'
        )
    ]


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("StageNameCasing", "stage-name-casing/"),
        ("JSONArgsRecommended", "json-args-recommended/"),
        ("FromPlatformFlagConstDisallowed", "from-platform-flag-const-disallowed/"),
        ("InvalidBaseImagePlatform", ""),
    ],
)
def test_a_rule_has_the_page_that_explains_it(name: str, url: str) -> None:
    rule = next(rule for rule in RULES if rule.name == name)
    assert rule.url == (f"https://docs.docker.com/go/dockerfile/rule/{url}" if url else "")


def test_the_document_names_every_rule() -> None:
    text = (Path(__file__).parents[4] / "docs" / "checks.md").read_text()
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == [rule.name for rule in RULES]
