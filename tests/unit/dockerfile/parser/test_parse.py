from __future__ import annotations

import pytest

from ocibuild.dockerfile import Dockerfile, parse
from ocibuild.dockerfile.parser import instructions as ins
from ocibuild.dockerfile.parser.parse import MAX_ERRORS, parse_trigger
from ocibuild.errors import DockerfileError, DockerfileErrors, SourceRange
from ocibuild.graph import Network, Security
from ocibuild.oci import Healthcheck


def parsed(text: str) -> Dockerfile:
    return parse(text.encode(), file="Dockerfile")


def only(line: str) -> object:
    """Return the instruction of ``line`` in a stage, as a tuple without its text and place."""
    (instruction,) = parsed(f"FROM a\n{line}\n").stages[0].instructions
    fields = type(instruction).__slots__
    assert instruction.text == line.strip().replace("\\\n", "")
    assert instruction.keyword == line.split(maxsplit=1)[0]
    return type(instruction), *(getattr(instruction, name) for name in fields)


def shell(text: str) -> ins.Command:
    return ins.Command((text,), shell_form=True)


def exec_(*args: str) -> ins.Command:
    return ins.Command(args, shell_form=False)


def check(*test: str, **fields: int) -> Healthcheck:
    return Healthcheck(test=test, **fields)


def run(command: ins.Command, **fields: object) -> tuple[object, ...]:
    return _with_fields(ins.Run, command, network=Network.DEFAULT, security=Security.SANDBOX, **fields)


def copy(*sources: str, **fields: object) -> tuple[object, ...]:
    return _with_fields(ins.Copy, sources[:-1], sources[-1], **fields)


def add(*sources: str, **fields: object) -> tuple[object, ...]:
    return _with_fields(ins.Add, sources[:-1], sources[-1], **fields)


def _with_fields(kind: type, *values: object, **fields: object) -> tuple[object, ...]:
    value = kind("", SourceRange("D", 1, 1), "", (), *values, **fields)
    return kind, *(getattr(value, name) for name in kind.__slots__)  # type: ignore[attr-defined]  # all have slots


INSTRUCTIONS = [
    ("ARG A", (ins.Arg, (("A", None),))),
    ("ARG A=1 B C=", (ins.Arg, (("A", "1"), ("B", None), ("C", "")))),
    ("ARG A='x y'", (ins.Arg, (("A", "'x y'"),))),
    ("ENV A=1", (ins.Env, (("A", "1"),), False)),
    ('ENV A=1 B="x y" C=', (ins.Env, (("A", "1"), ("B", '"x y"'), ("C", "")), False)),
    ("ENV A=b=c", (ins.Env, (("A", "b=c"),), False)),
    ("ENV A b c", (ins.Env, (("A", "b c"),), True)),
    ("ENV A  b=c  d", (ins.Env, (("A", "b=c  d"),), True)),
    ("LABEL a.b=c", (ins.Label, (("a.b", "c"),), False)),
    ("LABEL a b", (ins.Label, (("a", "b"),), True)),
    ("RUN a b", run(shell("a b"))),
    ("RUN", run(shell(""))),
    ('RUN ["a", "b"]', run(exec_("a", "b"))),
    ("RUN [a", run(shell("[a"))),
    ("RUN --network=none a", (ins.Run, shell("a"), Network.NONE, Security.SANDBOX, (), ())),
    ("RUN --network=host a", (ins.Run, shell("a"), Network.HOST, Security.SANDBOX, (), ())),
    ("RUN --network=default a", run(shell("a"))),
    ("COPY a b", copy("a", "b")),
    ("COPY a b c/", copy("a", "b", "c/")),
    ('COPY ["a b", "c"]', copy("a b", "c")),
    ("COPY --from=x --chown=1:2 --chmod=644 a b", copy("a", "b", from_="x", owner="1:2", mode="644")),
    ("ADD --chown=1 --chmod=$M a b", add("a", "b", owner="1", mode="$M")),
    ("RUN ['a', \"b\"]", run(shell("['a', \"b\"]"))),
    ('RUN ["a", "b"] && c', run(shell('["a", "b"] && c'))),
    ('RUN ["a", "b"] # c', run(shell('["a", "b"] # c'))),
    ('RUN ["a", "b",]', run(shell('["a", "b",]'))),
    ('RUN ["c:\\x"]', run(shell('["c:\\x"]'))),
    ('RUN\t[ "a" ,"b" ] ', run(exec_("a", "b"))),
    ('RUN {"a": 1}', run(shell('{"a": 1}'))),
    ("RUN --", run(shell(""))),
    ("RUN -- --x", run(shell("--x"))),
    ("RUN a --x", run(shell("a --x"))),
    ("RUN --mount=type=cache,target=/x a", run(shell("a"), mounts=("type=cache,target=/x",))),
    ("RUN --mount=a --mount=$b,c=$d a", run(shell("a"), mounts=("a", "$b,c=$d"))),
    ("RUN --mount='a b',\"c\" a", run(shell("a"), mounts=("a b,c",))),
    ("RUN --mount=from=x$ a", run(shell("a"), mounts=("from=x$",))),
    ("RUN --security=sandbox a", run(shell("a"))),
    ("RUN --security=insecure a", _with_fields(ins.Run, shell("a"), Network.DEFAULT, Security.INSECURE)),
    ("COPY --link a b", copy("a", "b", link=True)),
    ("COPY --link=true a b", copy("a", "b", link=True)),
    ("COPY --link=FALSE a b", copy("a", "b", link=False)),
    ("COPY --parents a b", copy("a", "b", parents=True)),
    ("COPY --parents=false a b", copy("a", "b")),
    ("COPY --exclude=*.o --exclude=b a b", copy("a", "b", exclude=("*.o", "b"))),
    ("COPY --from= --chown= --exclude= a b", copy("a", "b", exclude=("",))),
    ("COPY --exclude=\u00e9 a b", copy("a", "b", exclude=("\u00c3\u00a9",))),
    ("COPY 'a b' c", copy("'a", "b'", "c")),
    ('COPY ["a", "b"] c', copy('["a",', '"b"]', "c")),
    ("COPY [a b", copy("[a", "b")),
    ("COPY a\\ b c", copy("a\\", "b", "c")),
    ("ADD --link --keep-git-dir --unpack a b", add("a", "b", link=True, keep_git_dir=True, unpack=True)),
    ("ADD --keep-git-dir=false --unpack=False a b", add("a", "b", keep_git_dir=False, unpack=False)),
    ("ADD --checksum=sha256:x --exclude=a --exclude=b a b", add("a", "b", checksum="sha256:x", exclude=("a", "b"))),
    ("CMD a b", (ins.Cmd, shell("a b"))),
    ("CMD caf\u00e9", (ins.Cmd, shell("caf\u00e9"))),
    ("ARG --x A", (ins.Arg, (("A", None),))),
    ("ARG ''=x", (ins.Arg, (("''", "x"),))),
    ("STOPSIGNAL --x 9", (ins.StopSignal, "9")),
    ("HEALTHCHECK --foo=1 --foo NONE", (ins.HealthCheck, check("NONE"))),
    ("HEALTHCHECK --retries= --interval= CMD a", (ins.HealthCheck, check("CMD-SHELL", "a"))),
    ("HEALTHCHECK --retries=+5 CMD a", (ins.HealthCheck, check("CMD-SHELL", "a", retries=5))),
    ('HEALTHCHECK CMD ["a"] b', (ins.HealthCheck, check("CMD-SHELL", '["a"] b'))),
    ('VOLUME ["a" "b"]', (ins.Volume, ('["a"', '"b"]'))),
    ("ONBUILD foo bar", (ins.OnBuild, "foo bar")),
    ("ONBUILD COPY a", (ins.OnBuild, "COPY a")),
    ("ONBUILD RUN --foo a", (ins.OnBuild, "RUN --foo a")),
    ("ONBUILD HEALTHCHECK x", (ins.OnBuild, "HEALTHCHECK x")),
    ("ONBUILD -- RUN a", (ins.OnBuild, "-- RUN a")),
    ("ONBUILD ENV", (ins.OnBuild, "ENV")),
    ("onbuild run a  ", (ins.OnBuild, "run a  ")),
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
    ("run a", run(shell("a"))),
    ("RuN a", run(shell("a"))),
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
    ("RUN --device=x a", "RUN --device is not supported: a build has no devices of the machine", None),
    ("RUN --security=unsafe a", "invalid security mode 'unsafe'", "use sandbox or insecure"),
    ("RUN --security=insecur a", "invalid security mode 'insecur'", "did you mean insecure?"),
    ("RUN --security= a", "invalid security mode ''", "use sandbox or insecure"),
    ("RUN --network= a", "invalid network mode ''", "use default, none or host"),
    ("RUN --network=none --network=none a", "RUN --network is given twice", None),
    ("RUN --mount a", "RUN --mount needs a value", "write --mount=VALUE"),
    ("RUN --mount= a", "RUN --mount: an empty list of fields", "write NAME=VALUE,NAME=VALUE"),
    ("RUN --mount='a\"b' a", "RUN --mount: a stray double quote in 'a\"b'", "write"),
    ("RUN --mount=from=$x a", "variables are not expanded in the from of RUN --mount", "define a stage"),
    ("RUN --mount=target=/x,FROM=a${x} a", "variables are not expanded in the from of RUN --mount", "define a stage"),
    ("RUN --Mount=x a", "RUN has no flag --Mount", "did you mean --mount?"),
    ("RUN --\u00e0=x a", "the flag '--\u00e0=x' holds a character that no flag can hold", "use ASCII there"),
    ("RUN --mnt=x a", "RUN has no flag --mnt", "did you mean --mount?"),
    ("COPY", "COPY requires at least two arguments", "name a source and a destination"),
    ("COPY a", "COPY requires at least two arguments", "name a source and a destination"),
    ('COPY ["a"]', "COPY requires at least two arguments", "name a source and a destination"),
    ("COPY --form=x a b", "COPY has no flag --form", "did you mean --from?"),
    ("COPY --chown=1 --chown=2 a b", "COPY --chown is given twice", None),
    ("COPY --link=x a b", "COPY --link is true or false, not 'x'", None),
    ("COPY --link= a b", "COPY --link= needs a value", "write --link or --link=false"),
    ("COPY --link --link=true a b", "COPY --link is given twice", None),
    ("COPY --LINK a b", "COPY has no flag --LINK", "did you mean --link?"),
    ("COPY --from a b", "COPY --from needs a value", "write --from=VALUE"),
    ("COPY --exclude a b", "COPY --exclude needs a value", "write --exclude=VALUE"),
    ('COPY ["a", 1]', "when using JSON array syntax", None),
    ("COPY a <<EOF\nEOF", "COPY cannot have a heredoc as its destination", "name a file after it"),
    ('COPY ["a", "<<EOF"]', "COPY cannot have a heredoc as its destination", "name a file after it"),
    ("COPY <<EOF\nEOF", "COPY requires at least two arguments", "name a source and a destination"),
    ("ADD --parents a b", "ADD has no flag --parents", None),
    ("ADD a", "ADD requires at least two arguments", "name a source and a destination"),
    ("ADD --from=x a b", "ADD has no flag --from", None),
    ("CMD [1]", "when using JSON array syntax, arrays must be comprised of strings only", None),
    ("CMD --x y", "CMD has no flag --x", None),
    ("SHELL", "SHELL requires at least one argument", None),
    ("SHELL []", "SHELL requires at least one argument", None),
    ("SHELL bash -c", "SHELL requires its arguments in JSON form", 'write SHELL ["/bin/bash", "-c"]'),
    ("WORKDIR", "WORKDIR requires exactly one argument", None),
    ("USER", "USER requires exactly one argument", None),
    ("STOPSIGNAL", "STOPSIGNAL requires exactly one argument", None),
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
    ("ONBUILD --x RUN a", "ONBUILD has no flag --x", None),
    ("ONBUILD ENV A", "ENV must have two arguments", "write ENV NAME=VALUE"),
    ("ONBUILD LABEL a=b c", "can't find = in 'c'", "write NAME=VALUE"),
    ("ONBUILD HEALTHCHECK CMD [1]", "when using JSON array syntax", None),
    ("ONBUILD CMD [1]", "when using JSON array syntax", None),
    ("MAINTAINER --x y", "MAINTAINER has no flag --x", None),
    ("USER --x y", "USER has no flag --x", None),
    ("EXPOSE --x 80", "EXPOSE has no flag --x", None),
    ("ENV --x A=1", "ENV has no flag --x", None),
    ("\\", "unknown instruction ''", None),
    ("ONBUILD ONBUILD RUN a", "chaining ONBUILD via ONBUILD ONBUILD is not allowed", None),
    ("ONBUILD FROM a", "FROM is not allowed as an ONBUILD trigger", None),
    ("ONBUILD maintainer a", "MAINTAINER is not allowed as an ONBUILD trigger", None),
]


@pytest.mark.parametrize(("line", "message", "remedy"), WRONG, ids=[row[0] or "empty" for row in WRONG])
def test_a_wrong_instruction_is_refused_with_its_line(line: str, message: str, remedy: str | None) -> None:
    with pytest.raises(DockerfileError) as caught:
        parsed(f"# comment\nFROM a\n{line}\n")
    assert caught.value.message.startswith(message)
    assert (caught.value.remedy or "").startswith(remedy or "")
    assert bool(caught.value.remedy) == bool(remedy)
    lines = tuple(line.split("\n"))
    assert caught.value.location == SourceRange("Dockerfile", 3, 2 + len(lines), lines)


def test_names_and_keywords_are_kept_as_written() -> None:
    start = parsed("From a aS B.c\n").stages[0].start
    assert (start.keyword, start.as_keyword, start.name_as_written, start.name) == ("From", "aS", "B.c", "b.c")
    assert (parsed("FROM a").stages[0].start.as_keyword, start.comments) == ("", ())


def test_what_says_the_same_is_equal() -> None:
    assert parsed("FROM a\nENV A=1 \\\n  B=2\n") == parsed("\nFROM   a\nENV A=1 B=2")
    assert parsed("FROM a\nENV A=1") != parsed("FROM a\nenv A=1")


def test_all_wrong_instructions_are_found_at_once() -> None:
    with pytest.raises(DockerfileErrors) as caught:
        parsed("FRON a\nCOPY a\nFROM a b\nRUN x\nENV A\0\nENV A\n")
    assert [str(error).partition(" (")[0] for error in caught.value.errors] == [
        "Dockerfile:1: unknown instruction FRON",
        "Dockerfile:2: COPY requires at least two arguments",
        "Dockerfile:3: FROM requires either one or three arguments",
        "Dockerfile:5: an instruction cannot hold a NUL character",
        "Dockerfile:6: ENV must have two arguments",
    ]
    assert caught.value.location == caught.value.errors[0].location
    assert str(caught.value).count("\n") == 4


def test_an_instruction_too_early_is_said_once() -> None:
    with pytest.raises(DockerfileError) as caught:
        parsed("ENV a=b\nENV c=d\nFROM a\n")
    assert str(caught.value) == "Dockerfile:1: no build stage yet: only ARG may stand before FROM"


def test_a_wrong_from_does_not_make_what_follows_wrong() -> None:
    with pytest.raises(DockerfileError, match="FROM requires") as caught:
        parsed("FROM\nENV a=b\n")
    assert not isinstance(caught.value, DockerfileErrors)


def test_what_stands_in_the_heredoc_of_a_wrong_instruction_is_not_wrong_too() -> None:
    with pytest.raises(DockerfileError, match="no flag") as caught:
        parsed("FROM a\nRUN --x <<EOF\nFOO\nEOF\n")
    assert not isinstance(caught.value, DockerfileErrors)


def test_the_search_for_errors_ends_after_some() -> None:
    with pytest.raises(DockerfileErrors) as caught:
        parsed("FROM a\n" + "FOO\n" * 100_000)
    assert len(caught.value.errors) == MAX_ERRORS


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


def test_where_an_instruction_with_a_blank_line_ends_is_known() -> None:
    found = parsed("FROM a\nRUN a \\\n\n <<EOF\n\nEOF\nRUN b\n").blank_continuations
    assert found == (SourceRange("Dockerfile", 4, 4, (" <<EOF",)),)


OTHER_BYTES = [
    (b"ENV a=caf\xe9", ins.Env, "pairs", (("a", "caf\ufffd"),)),
    (b"CMD caf\xe9", ins.Cmd, "command", ins.Command(("caf\ufffd",), shell_form=True)),
    (b"ONBUILD RUN caf\xe9", ins.OnBuild, "trigger", "RUN caf\ufffd"),
    (b"MAINTAINER Jos\xe9", ins.Maintainer, "name", "Jos\ufffd"),
]


@pytest.mark.parametrize(("line", "kind", "field", "value"), OTHER_BYTES, ids=[repr(row[0]) for row in OTHER_BYTES])
def test_what_is_no_utf8_is_replaced_where_it_is_for_the_config(
    line: bytes, kind: type, field: str, value: object
) -> None:
    (instruction,) = parse(b"FROM a\n" + line, file="D").stages[0].instructions
    assert isinstance(instruction, kind)
    assert getattr(instruction, field) == value
    assert instruction.text.isprintable()


@pytest.mark.parametrize("line", [b"RUN \xe9", b"COPY \xe9 b", b"ADD a \xe9", b"RUN <<E\n\xe9\nE"], ids=repr)
def test_a_step_must_be_utf8(line: bytes) -> None:
    with pytest.raises(DockerfileError, match="valid UTF-8") as caught:
        parse(b"FROM a\n" + line, file="D")
    assert caught.value.location is not None


def test_a_trigger_may_have_documents() -> None:
    where = SourceRange("Dockerfile", 7, 7)
    trigger = parse_trigger("RUN cat <<A <<-B\n\ta\nA\n\tb\nB", location=where)
    assert isinstance(trigger, ins.Run)
    assert [document.content for document in trigger.heredocs] == ["\ta\n", "b\n"]
    assert trigger.location == where


def test_a_trigger_is_one_instruction() -> None:
    where = SourceRange("Dockerfile", 7, 7)
    trigger = parse_trigger("RUN a \\\n b", location=where)
    assert (trigger.text, trigger.location) == ("RUN a  b", where)


@pytest.mark.parametrize(
    "text", ["", "RUN a\nRUN b", "FROM a", "RNU a", "# comment", "RUN <<E", "RUN <<E\nE\nx"], ids=repr
)
def test_a_wrong_trigger_is_refused_at_the_from(text: str) -> None:
    where = SourceRange("Dockerfile", 7, 7)
    with pytest.raises(DockerfileError, match="ONBUILD trigger") as caught:
        parse_trigger(text, location=where)
    assert caught.value.location == where
