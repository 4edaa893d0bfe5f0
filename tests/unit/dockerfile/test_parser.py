from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocibuild.dockerfile import Dockerfile, parse
from ocibuild.dockerfile import instructions as ins
from ocibuild.dockerfile.parser import parse_trigger
from ocibuild.errors import DockerfileError, SourceRange
from ocibuild.graph import Network
from ocibuild.oci import Healthcheck
from tests.unit.dockerfile.helpers import refusal


def parsed(text: str) -> Dockerfile:
    return parse(text.encode(), file="Dockerfile")


def only(line: str) -> object:
    """Return the instruction of ``line`` in a stage, as a tuple without its text and place."""
    (instruction,) = parsed(f"FROM a\n{line}\n").stages[0].instructions
    fields = type(instruction).__slots__
    assert instruction.text == line.strip().replace("\\\n", "")
    return type(instruction), *(getattr(instruction, name) for name in fields)


def shell(text: str) -> ins.Command:
    return ins.Command((text,), shell_form=True)


def exec_(*args: str) -> ins.Command:
    return ins.Command(args, shell_form=False)


def check(*test: str, **fields: int) -> Healthcheck:
    return Healthcheck(test=test, **fields)


INSTRUCTIONS = [
    ("ARG A", (ins.Arg, (("A", None),))),
    ("ARG A=1 B C=", (ins.Arg, (("A", "1"), ("B", None), ("C", "")))),
    ("ARG A='x y'", (ins.Arg, (("A", "'x y'"),))),
    ("ENV A=1", (ins.Env, (("A", "1"),))),
    ('ENV A=1 B="x y" C=', (ins.Env, (("A", "1"), ("B", '"x y"'), ("C", "")))),
    ("ENV A=b=c", (ins.Env, (("A", "b=c"),))),
    ("ENV A b c", (ins.Env, (("A", "b c"),))),
    ("ENV A  b=c  d", (ins.Env, (("A", "b=c  d"),))),
    ("LABEL a.b=c", (ins.Label, (("a.b", "c"),))),
    ("LABEL a b", (ins.Label, (("a", "b"),))),
    ("RUN a b", (ins.Run, shell("a b"), Network.DEFAULT)),
    ("RUN", (ins.Run, shell(""), Network.DEFAULT)),
    ('RUN ["a", "b"]', (ins.Run, exec_("a", "b"), Network.DEFAULT)),
    ("RUN [a", (ins.Run, shell("[a"), Network.DEFAULT)),
    ("RUN --network=none a", (ins.Run, shell("a"), Network.NONE)),
    ("RUN --network=host a", (ins.Run, shell("a"), Network.HOST)),
    ("RUN --network=default a", (ins.Run, shell("a"), Network.DEFAULT)),
    ("COPY a b", (ins.Copy, ("a",), "b", "", "", "")),
    ("COPY a b c/", (ins.Copy, ("a", "b"), "c/", "", "", "")),
    ('COPY ["a b", "c"]', (ins.Copy, ("a b",), "c", "", "", "")),
    ("COPY --from=x --chown=1:2 --chmod=644 a b", (ins.Copy, ("a",), "b", "x", "1:2", "644")),
    ("ADD --chown=1 --chmod=$M a b", (ins.Add, ("a",), "b", "1", "$M")),
    ("CMD a b", (ins.Cmd, shell("a b"))),
    ("CMD", (ins.Cmd, shell(""))),
    ("CMD []", (ins.Cmd, exec_())),
    ('CMD ["a"]', (ins.Cmd, exec_("a"))),
    ("CMD ['a']", (ins.Cmd, shell("['a']"))),
    ('ENTRYPOINT ["a"]', (ins.Entrypoint, exec_("a"))),
    ('SHELL ["/bin/bash", "-c"]', (ins.Shell, ("/bin/bash", "-c"))),
    ("WORKDIR /a b", (ins.Workdir, "/a b")),
    ("USER a:b", (ins.User, "a:b")),
    ("EXPOSE 90 80/udp", (ins.Expose, ("80/udp", "90"))),
    ("VOLUME /a /b", (ins.Volume, ("/a", "/b"))),
    ('VOLUME [" /a "]', (ins.Volume, ("/a",))),
    ("STOPSIGNAL SIGTERM", (ins.StopSignal, "SIGTERM")),
    ("HEALTHCHECK NONE", (ins.HealthCheck, check("NONE"))),
    ("HEALTHCHECK --interval=5s NONE", (ins.HealthCheck, check("NONE"))),
    ("HEALTHCHECK CMD a b", (ins.HealthCheck, check("CMD-SHELL", "a b"))),
    ('healthcheck cmd ["a"]', (ins.HealthCheck, check("CMD", "a"))),
    (
        "HEALTHCHECK --interval=1s --timeout=2s --start-period=3s --start-interval=4ms --retries=5 CMD a",
        (
            ins.HealthCheck,
            check(
                "CMD-SHELL",
                "a",
                interval=1_000_000_000,
                timeout=2_000_000_000,
                start_period=3_000_000_000,
                start_interval=4_000_000,
                retries=5,
            ),
        ),
    ),
    ("HEALTHCHECK --retries=0 --interval=0 CMD a", (ins.HealthCheck, check("CMD-SHELL", "a"))),
    ("ONBUILD RUN a", (ins.OnBuild, "RUN a")),
    ("ONBUILD   copy a b", (ins.OnBuild, "copy a b")),
    ("MAINTAINER me <a@b>", (ins.Maintainer, "me <a@b>")),
    ("run a", (ins.Run, shell("a"), Network.DEFAULT)),
    ("RuN a", (ins.Run, shell("a"), Network.DEFAULT)),
]


@pytest.mark.parametrize(("line", "expected"), INSTRUCTIONS, ids=[row[0] for row in INSTRUCTIONS])
def test_an_instruction_is_understood(line: str, expected: tuple[object, ...]) -> None:
    assert only(line) == expected


FROMS = [
    ("FROM a", ("a", "", None)),
    ("FROM a AS b", ("a", "b", None)),
    ("from a as B.c-d_1", ("a", "b.c-d_1", None)),
    ("FROM --platform=linux/arm64 a", ("a", "", "linux/arm64")),
    ("FROM --platform=$P ${A}:1 AS x", ("${A}:1", "x", "$P")),
]


@pytest.mark.parametrize(("line", "expected"), FROMS, ids=[row[0] for row in FROMS])
def test_from_opens_a_stage(line: str, expected: tuple[str, str, str | None]) -> None:
    start = parsed(line).stages[0].start
    assert (start.base, start.name, start.platform) == expected


WRONG = [
    ("RNU a", "unknown instruction RNU", "did you mean RUN?"),
    ("FORM a", "unknown instruction FORM", "did you mean FROM?"),
    ("xyzzy", "unknown instruction xyzzy", None),
    ("FROM", "FROM requires either one or three arguments", "write FROM IMAGE [AS NAME]"),
    ("FROM a b", "FROM requires either one or three arguments", "write FROM IMAGE [AS NAME]"),
    ("FROM a IS b", "FROM requires either one or three arguments", "write FROM IMAGE [AS NAME]"),
    ("FROM a AS 1b", "invalid name for build stage: '1b'", "a name starts with a letter"),
    ("FROM a AS b/c", "invalid name for build stage: 'b/c'", "a name starts with a letter"),
    ("FROM --platfrom=x a", "FROM has no flag --platfrom", "did you mean --platform?"),
    ("ARG", "ARG requires at least one argument", None),
    ("ARG =x", "ARG names cannot be blank", None),
    ("ARG --x A", "ARG has no flag --x", None),
    ("ENV", "ENV requires at least one argument", None),
    ("ENV A", "ENV must have two arguments", "write ENV NAME=VALUE"),
    ("ENV A=1 B", "can't find = in 'B'", "write NAME=VALUE"),
    ("ENV =x", "ENV names cannot be blank", None),
    ("LABEL", "LABEL requires at least one argument", None),
    ("LABEL a", "LABEL must have two arguments", "write LABEL NAME=VALUE"),
    ("LABEL a=b c", "can't find = in 'c'", "write NAME=VALUE"),
    ("RUN []", "RUN requires a command", None),
    ("RUN [1]", "when using JSON array syntax, arrays must be comprised of strings only", None),
    ("RUN --network=foo a", "invalid network mode 'foo'", "use default, none or host"),
    ("RUN --network a", "RUN --network needs a value", "write --network=VALUE"),
    ("RUN --mount=type=cache,target=/x a", "RUN --mount is not built yet", None),
    ("RUN --security=insecure a", "RUN --security is not built yet", None),
    ("RUN --device=x a", "RUN --device is not built yet", None),
    ("RUN --mnt=x a", "RUN has no flag --mnt", "did you mean --mount?"),
    ("RUN <<EOF", "heredocs are not built yet (<<EOF)", None),
    ("RUN cat <<-EOF > x", "heredocs are not built yet (<<EOF)", None),
    ("COPY", "COPY requires at least two arguments", "name a source and a destination"),
    ("COPY a", "COPY requires at least two arguments", "name a source and a destination"),
    ('COPY ["a"]', "COPY requires at least two arguments", "name a source and a destination"),
    ("COPY --form=x a b", "COPY has no flag --form", "did you mean --from?"),
    ("COPY --chown=1 --chown=2 a b", "COPY --chown is given twice", None),
    ("COPY --link a b", "COPY --link is not built yet", None),
    ("COPY --parents a b", "COPY --parents is not built yet", None),
    ("COPY --exclude=x a b", "COPY --exclude is not built yet", None),
    ("COPY <<EOF /x", "heredocs are not built yet (<<EOF)", None),
    ("ADD a", "ADD requires at least two arguments", "name a source and a destination"),
    ("ADD --from=x a b", "ADD has no flag --from", None),
    ("ADD --link a b", "ADD --link is not built yet", None),
    ("ADD --exclude=x a b", "ADD --exclude is not built yet", None),
    ("ADD --checksum=sha256:x a b", "ADD --checksum is not built yet", None),
    ("ADD --keep-git-dir a b", "ADD --keep-git-dir is not built yet", None),
    ("ADD --unpack=false a b", "ADD --unpack is not built yet", None),
    ("ADD <<EOF /x", "heredocs are not built yet (<<EOF)", None),
    ("CMD [1]", "when using JSON array syntax, arrays must be comprised of strings only", None),
    ("CMD --x y", "CMD has no flag --x", None),
    ("SHELL", "SHELL requires at least one argument", None),
    ("SHELL []", "SHELL requires at least one argument", None),
    ("SHELL bash -c", "SHELL requires its arguments in JSON form", 'write SHELL ["/bin/bash", "-c"]'),
    ("WORKDIR", "WORKDIR requires exactly one argument", None),
    ("USER", "USER requires exactly one argument", None),
    ("STOPSIGNAL", "STOPSIGNAL requires exactly one argument", None),
    ("STOPSIGNAL --x 9", "STOPSIGNAL has no flag --x", None),
    ("MAINTAINER", "MAINTAINER requires exactly one argument", None),
    ("EXPOSE", "EXPOSE requires at least one argument", None),
    ("VOLUME", "VOLUME requires at least one argument", None),
    ("VOLUME []", "VOLUME requires at least one argument", None),
    ('VOLUME [" "]', "VOLUME cannot be an empty string", None),
    ("HEALTHCHECK", "HEALTHCHECK requires at least one argument", None),
    ("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments", None),
    ("HEALTHCHECK FOO x", "unknown type 'FOO' in HEALTHCHECK", "use CMD or NONE"),
    ("HEALTHCHECK CMD", "missing command after HEALTHCHECK CMD", None),
    ("HEALTHCHECK CMD []", "missing command after HEALTHCHECK CMD", None),
    ("HEALTHCHECK --interval=5 CMD x", "invalid duration '5'", "write it as 30s"),
    ("HEALTHCHECK --timeout=5us CMD x", "HEALTHCHECK --timeout cannot be less than 1ms", None),
    ("HEALTHCHECK --interval=-5s CMD x", "HEALTHCHECK --interval cannot be less than 1ms", None),
    ("HEALTHCHECK --retries=-1 CMD x", "HEALTHCHECK --retries must be a number", None),
    ("HEALTHCHECK --retries=2147483648 CMD x", "HEALTHCHECK --retries must be a number", None),
    ("HEALTHCHECK --foo=1 CMD x", "HEALTHCHECK has no flag --foo", None),
    ("ONBUILD", "ONBUILD requires at least one argument", None),
    ("ONBUILD ONBUILD RUN a", "chaining ONBUILD via ONBUILD ONBUILD is not allowed", None),
    ("ONBUILD FROM a", "FROM is not allowed as an ONBUILD trigger", None),
    ("ONBUILD maintainer a", "MAINTAINER is not allowed as an ONBUILD trigger", None),
    ("ONBUILD RNU a", "unknown instruction RNU", "did you mean RUN?"),
    ("ONBUILD COPY a", "COPY requires at least two arguments", "name a source and a destination"),
]


@pytest.mark.parametrize(("line", "message", "remedy"), WRONG, ids=[row[0] or "empty" for row in WRONG])
def test_a_wrong_instruction_is_refused_with_its_line(line: str, message: str, remedy: str | None) -> None:
    with pytest.raises(DockerfileError) as caught:
        parsed(f"# comment\nFROM a\n{line}\nRUN b\n")
    assert caught.value.message.startswith(message)
    assert (caught.value.remedy or "").startswith(remedy or "")
    assert bool(caught.value.remedy) == bool(remedy)
    assert caught.value.location == SourceRange("Dockerfile", 3, 3, (line,))


def test_an_error_shows_all_lines_of_its_instruction() -> None:
    with pytest.raises(DockerfileError) as caught:
        parsed("FROM a\nCOPY \\\n  # why\n  a\n")
    assert caught.value.location == SourceRange("Dockerfile", 2, 4, ("COPY \\", "  # why", "  a"))
    assert str(caught.value).startswith("Dockerfile:2: COPY requires at least two arguments")


STAGELESS = [
    ("", "there is no build stage"),
    ("# only a comment\n", "there is no build stage"),
    ("ARG A=1\n", "there is no build stage"),
    ("RUN a\n", "no build stage yet"),
    ("ARG A\nENV A=1\nFROM a\n", "no build stage yet"),
]


@pytest.mark.parametrize(("text", "message"), STAGELESS, ids=[repr(row[0]) for row in STAGELESS])
def test_a_dockerfile_needs_a_stage(text: str, message: str) -> None:
    with pytest.raises(DockerfileError, match=message) as caught:
        parsed(text)
    assert caught.value.location is not None


def test_stages_and_global_arguments_are_told_apart() -> None:
    dockerfile = parsed("# escape=`\nARG A=1\nARG B\nFROM a AS x\nARG C\nRUN a `\n b\nFROM x\n")
    assert dockerfile.directives.escape == "`"
    assert [arg.pairs for arg in dockerfile.global_args] == [(("A", "1"),), (("B", None),)]
    assert [(stage.index, stage.start.name, len(stage.instructions)) for stage in dockerfile.stages] == [
        (0, "x", 2),
        (1, "", 0),
    ]


def test_a_blank_line_in_an_instruction_and_maintainer_are_warned_about() -> None:
    warnings = parsed("FROM a\nRUN a \\\n\n b\nMAINTAINER me\n").warnings
    assert warnings[0] == "Dockerfile:2: empty continuation line"
    assert warnings[1].startswith("Dockerfile:5: MAINTAINER is deprecated")


def test_a_trigger_is_one_instruction() -> None:
    where = SourceRange("Dockerfile", 7, 7)
    trigger = parse_trigger("RUN a \\\n b", location=where)
    assert (trigger.text, trigger.location) == ("RUN a  b", where)


@pytest.mark.parametrize("text", ["", "RUN a\nRUN b", "FROM a", "RNU a", "# comment"], ids=repr)
def test_a_wrong_trigger_is_refused_at_the_from(text: str) -> None:
    where = SourceRange("Dockerfile", 7, 7)
    with pytest.raises(DockerfileError, match="ONBUILD trigger") as caught:
        parse_trigger(text, location=where)
    assert caught.value.location == where


def test_ten_thousand_lines_are_parsed_in_a_moment() -> None:
    step = 'RUN make $A && \\\n  make install\nCOPY --from=x a b /c/\nENV A="x y" B=1\n'
    text = ("FROM a\n" + step * 2_500).encode()
    best = min(_seconds(text) for _ in range(5))
    assert best < 0.3


def _seconds(text: bytes) -> float:
    started = time.perf_counter()
    parse(text, file="D")
    return time.perf_counter() - started


NAMES = st.sampled_from(sorted({row[0].split()[0].upper() for row in INSTRUCTIONS} | {"FROM"}))
REST = st.text(alphabet="ab1=:/.,-$ {}[]\"'\\#<`\n\t", max_size=30)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_dockerfile_or_a_refusal(data: bytes) -> None:
    error = refusal(lambda: parse(data, file="D"))
    assert error is None or error.location is not None


@given(st.lists(st.tuples(NAMES, REST), max_size=6))
def test_any_instructions_give_a_dockerfile_or_a_refusal(lines: list[tuple[str, str]]) -> None:
    text = "FROM a\n" + "".join(f"{name} {rest}\n" for name, rest in lines)
    error = refusal(lambda: parsed(text))
    assert error is None or error.location is not None
