from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocibuild.dockerfile import ResolvedBase, convert, parse
from ocibuild.errors import NotFound, SourceRange
from ocibuild.fs import ModeChange
from ocibuild.graph import Context, Copy, Image, MakeDirectory, Network, Run, Scratch
from ocibuild.oci import DiffID, Digest, Healthcheck, History, ImageConfig, Platform, Reference, RunConfig
from tests.unit.dockerfile.conversion.helpers import (
    AMD64,
    ARM64,
    PATH,
    Images,
    build,
    chain,
    created_by,
    labels,
    options,
    refusal,
    refused,
)

SETTINGS = [
    ("CMD a b", {"cmd": ("/bin/sh", "-c", "a b"), "args_escaped": True}, 'CMD ["/bin/sh" "-c" "a b"]'),
    ('CMD ["a", "b \\"c\\""]', {"cmd": ("a", 'b "c"'), "args_escaped": True}, 'CMD ["a" "b \\"c\\""]'),
    ("CMD []", {"cmd": None, "args_escaped": True}, "CMD []"),
    ("CMD", {"cmd": ("/bin/sh", "-c", ""), "args_escaped": True}, 'CMD ["/bin/sh" "-c" ""]'),
    ("ENTRYPOINT a", {"entrypoint": ("/bin/sh", "-c", "a")}, 'ENTRYPOINT ["/bin/sh" "-c" "a"]'),
    ('ENTRYPOINT ["a"]', {"entrypoint": ("a",)}, 'ENTRYPOINT ["a"]'),
    ("ENTRYPOINT []", {"entrypoint": None}, "ENTRYPOINT []"),
    ('SHELL ["/bin/bash", "-c"]', {"shell": ("/bin/bash", "-c")}, "SHELL [/bin/bash -c]"),
    ("USER a:b", {"user": "a:b"}, "USER a:b"),
    ("USER $NONE", {"user": ""}, "USER "),
    ("EXPOSE 80", {"exposed_ports": ("80/tcp",)}, "EXPOSE [80/tcp]"),
    (
        "EXPOSE 90-91/UDP 80",
        {"exposed_ports": ("80/tcp", "90/udp", "91/udp")},
        "EXPOSE [80/tcp 90/udp 91/udp]",
    ),
    ("EXPOSE $NONE", {"exposed_ports": ()}, "EXPOSE []"),
    ("VOLUME /b /a", {"volumes": ("/a", "/b")}, "VOLUME [/b /a]"),
    ('VOLUME ["/a b"]', {"volumes": ("/a b",)}, "VOLUME [/a b]"),
    ("STOPSIGNAL SIGTERM", {"stop_signal": "SIGTERM"}, "STOPSIGNAL SIGTERM"),
    ('LABEL a=b c="d e"', {"labels": {"a": "b", "c": "d e"}}, "LABEL a=b c=d e"),
    ("LABEL a b c", {"labels": {"a": "b c"}}, "LABEL a=b c"),
    ("HEALTHCHECK NONE", {"healthcheck": Healthcheck(("NONE",))}, None),
    (
        "HEALTHCHECK --interval=5m --retries=3 CMD a",
        {"healthcheck": Healthcheck(("CMD-SHELL", "a"), interval=300_000_000_000, retries=3)},
        'HEALTHCHECK &{["CMD-SHELL" "a"] "5m0s" "0s" "0s" "0s" \'\\x03\'}',
    ),
    ("ENV A=1 B='x y'", {"env": (PATH, "A=1", "B=x y")}, "ENV A=1 B=x y"),
    ("ENV A b  c", {"env": (PATH, "A=b  c")}, "ENV A=b  c"),
    ("ENV PATH=/x:$PATH", {"env": (f"PATH=/x:{PATH[5:]}",)}, f"ENV PATH=/x:{PATH[5:]}"),
    ("ENV K=a $NONE$NONE=b", {"env": (PATH, "K=a", "=b")}, "ENV K=a =b"),
]


@pytest.mark.parametrize(("line", "members", "text"), SETTINGS, ids=[row[0] for row in SETTINGS])
def test_an_instruction_sets_the_config(line: str, members: dict[str, object], text: str | None) -> None:
    target = build(f"FROM a\n{line}\n")
    for name, expected in members.items():
        assert getattr(target.config.config, name) == expected
    (entry,) = target.config.history
    assert entry == History(created_by=text or entry.created_by, comment="buildkit.dockerfile.v0", empty_layer=True)
    assert isinstance(target.vertex, Image)


REFUSED = [
    ("COPY http://x/y /z", "the source of COPY cannot be a URL"),
    ("COPY https://github.com/a/b.git /z", "the source of COPY cannot be a Git repository"),
    ("COPY git@github.com:a/b /z", "the source of COPY cannot be a Git repository"),
    ("COPY --chmod=888 a b", "COPY --chmod=888: invalid mode '888'"),
    ("COPY --chmod=17777 a b", "COPY --chmod=17777: invalid mode '17777'"),
    ("ADD --chmod=0o644 a b", "ADD --chmod=0o644: invalid mode '0o644'"),
    ("COPY --from=$X a b", "variable expansion is not supported for --from"),
    ("COPY --from=9 a b", "invalid stage index 9"),
    ("COPY --from=-1 a b", "invalid stage index -1"),
    ("COPY --from=0 a b", "cannot copy from stage '0': it would copy from itself"),
    ("COPY --from=x/UPPER a b", ""),
    ("EXPOSE 70000", "invalid port '70000'"),
    ("EXPOSE 80/foo", "invalid protocol 'foo'"),
    ("EXPOSE 0-65535 0-65535/udp", "one EXPOSE cannot name more than 65536 ports"),
    ("VOLUME $X", "VOLUME cannot be an empty string"),
    ("STOPSIGNAL FOO", "invalid signal: FOO"),
    ("ENV A=${X:?no-X}", "X: no-X"),
    ('ENV A="x', "a double quote is not closed"),
    ("LABEL a=${x", "syntax error: missing '}'"),
    ("ARG A=${X:?no-X}", "X: no-X"),
    ("WORKDIR ${}", "syntax error: bad substitution"),
]


@pytest.mark.parametrize(("line", "message"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_cannot_be_converted_is_refused_with_its_line(line: str, message: str) -> None:
    error = refused(f"FROM a\n{line}\n")
    assert error.message.startswith(message)
    assert error.location == SourceRange("Dockerfile", 2, 2, (line,))


def test_an_ordinary_build_becomes_a_chain() -> None:
    target = build("FROM a:1\nWORKDIR /src\nCOPY go.* ./\nRUN make\nUSER me\nRUN x\n")
    image, directory, copy, run, last = chain(target)
    assert isinstance(image, Image)
    assert image.reference == Reference.parse("a:1")
    assert image.platform == AMD64
    assert image.digest == Digest.of(b"docker.io/library/a:1")
    assert isinstance(directory, MakeDirectory)
    assert (directory.path, directory.user) == ("/src", "")
    assert isinstance(copy, Copy)
    (source,) = copy.sources
    assert isinstance(source.tree, Context)
    assert source.tree.name == ""
    assert (source.paths, copy.destination, source.unpack) == (("go.*",), "/src/", False)
    assert isinstance(run, Run)
    assert (run.args, run.env, run.working_dir, run.user) == (("/bin/sh", "-c", "make"), (PATH,), "/src", "")
    assert isinstance(last, Run)
    assert last.user == "me"
    assert labels(target) == [
        f"[1/5] FROM docker.io/library/a:1@{image.digest}",
        "[2/5] WORKDIR /src",
        "[3/5] COPY go.* ./",
        "[4/5] RUN make",
        "[5/5] RUN x",
    ]
    assert run.origin.location == SourceRange("Dockerfile", 4, 4, ("RUN make",))
    assert created_by(target) == [
        "WORKDIR /src",
        "COPY go.* ./ # buildkit",
        "RUN /bin/sh -c make # buildkit",
        "USER me",
        "RUN /bin/sh -c x # buildkit",
    ]
    assert [entry.empty_layer for entry in target.config.history] == [False, False, False, True, False]


def test_the_config_of_the_base_is_kept_and_added_to() -> None:
    base = ImageConfig(
        platform=AMD64,
        created="2024-01-01T00:00:00Z",
        author="them",
        config=RunConfig(
            env=("A=1", "B=2"),
            cmd=("sh",),
            labels={"a": "1"},
            exposed_ports=("80/tcp",),
            volumes=("/v",),
            working_dir="/w",
            user="u",
            shell=("/bin/ash", "-c"),
        ),
        diff_ids=(DiffID(Digest.of(b"x")),),
        history=(History(created="2024-01-01T00:00:00Z", created_by="base"),),
    )
    images = Images(whole={"a": base})
    target = build("FROM a\nENV B=3\nLABEL b=2\nEXPOSE 70\nVOLUME /u\nRUN x\n", images, labels={"a": "9", "c": "3"})
    config = target.config
    assert config.diff_ids == base.diff_ids
    assert config.history[0] == base.history[0]
    assert (config.created, config.author) == (None, "them")
    assert config.config.env == ("A=1", "B=3", PATH)
    assert config.config.labels == {"a": "9", "b": "2", "c": "3"}
    assert config.config.exposed_ports == ("70/tcp", "80/tcp")
    assert config.config.volumes == ("/u", "/v")
    assert config.config.cmd == ("sh",)
    assert isinstance(target.vertex, Run)
    assert target.vertex.args == ("/bin/ash", "-c", "x")
    assert (target.vertex.working_dir, target.vertex.user) == ("/w", "u")


def test_empty_lists_of_the_base_are_not_kept() -> None:
    target = build("FROM a\n", Images({"a": RunConfig(entrypoint=(), cmd=(), shell=(), on_build=())}))
    assert target.config.config == RunConfig(env=(PATH,))


def test_scratch_is_an_empty_tree_with_a_path() -> None:
    target = build("FROM scratch\nCOPY a /\n", platform=ARM64, build_platform=ARM64)
    assert isinstance(chain(target)[0], Scratch)
    assert labels(target)[1] == "[1/1] COPY a /"
    assert target.config.platform == ARM64
    assert target.config.config == RunConfig(env=(PATH,), working_dir="/")


def test_an_entrypoint_clears_the_cmd_of_the_base_only() -> None:
    def cmd(text: str) -> object:
        return build(text, Images({"a": RunConfig(cmd=("x",))})).config.config.cmd

    assert cmd('FROM a\nENTRYPOINT ["e"]\n') is None
    assert cmd('FROM a\nCMD ["y"]\nENTRYPOINT ["e"]\n') == ("y",)
    assert cmd('FROM a\nENTRYPOINT ["e"]\nCMD ["y"]\n') == ("y",)
    assert cmd('FROM a AS s\nCMD ["y"]\nFROM s\nENTRYPOINT ["e"]\n') is None


def test_a_workdir_is_seen_from_the_one_before() -> None:
    target = build("FROM a\nENV D=d\nWORKDIR a\nWORKDIR b/\nWORKDIR ../$D\nWORKDIR /\nWORKDIR /x//y/\nWORKDIR $NONE\n")
    made = [vertex.path for vertex in chain(target) if isinstance(vertex, MakeDirectory)]
    assert made == ["/a", "/a/b", "/a/d", "/x/y", "/x/y"]
    assert [entry.created_by for entry in target.config.history if entry.created_by != "ENV D=d"] == [
        "WORKDIR /a",
        "WORKDIR /a/b",
        "WORKDIR /a/d",
        "WORKDIR /",
        "WORKDIR /x//y/",
        "WORKDIR /x/y",
    ]
    assert [entry.empty_layer for entry in target.config.history] == [True, False, False, False, True, False, False]
    assert target.config.config.working_dir == "/x/y"


def test_copy_cleans_and_expands_its_paths() -> None:
    text = 'FROM a\nENV D=dir O=1:2 M=0750\nWORKDIR /w\nCOPY --chown=$O --chmod=$M ../x ./$D/../y /z* "$D/sub"\n'
    copy = build(text).vertex
    assert isinstance(copy, Copy)
    assert (copy.sources[0].paths, copy.destination) == (("x", "y", "z*"), "/w/dir/sub")
    assert (copy.owner, copy.mode) == ("1:2", ModeChange.parse("0750"))


def test_a_copy_is_recorded_with_its_words_expanded() -> None:
    target = build('FROM a\nENV D=d\nCOPY --chown=1 --chmod=644 ./a "$D/" /x/\nADD --chown= a.tar .\n')
    assert created_by(target)[1:] == ["COPY --chown=1 --chmod=644 ./a d/ /x/ # buildkit", "ADD a.tar . # buildkit"]
    assert isinstance(target.vertex, Copy)
    assert target.vertex.sources[0].unpack
    assert target.vertex.owner is None


def test_copy_reads_stages_images_and_numbers() -> None:
    images = Images()
    target = build(
        "FROM a AS Builder\nRUN x\nFROM b\nCOPY --from=BUILDER /o /p\nCOPY --from=0 o p/\n"
        "COPY --from=c:2 /etc/x /\nCOPY --from=scratch /x /\n",
        images,
    )
    _, by_name, by_number, image, scratch = chain(target)
    assert isinstance(by_name, Copy)
    assert isinstance(by_number, Copy)
    assert isinstance(image, Copy)
    assert isinstance(scratch, Copy)
    builder, image_tree = by_name.sources[0].tree, image.sources[0].tree
    assert isinstance(builder, Run)
    assert by_number.sources[0].tree is builder
    assert by_name.sources[0].paths == ("o",)
    assert isinstance(image_tree, Image)
    assert image_tree.reference == Reference.parse("c:2")
    assert isinstance(scratch.sources[0].tree, Scratch)
    assert labels(target)[1] == "[stage-1 2/5] COPY --from=BUILDER /o /p"
    assert builder.origin.label == "[builder 2/2] RUN x"
    assert images.asked == [("b:latest", "linux/amd64"), ("a:latest", "linux/amd64"), ("c:2", "linux/amd64")]


def test_the_context_is_one_vertex() -> None:
    target = build("FROM a\nCOPY a b\nADD c d\n")
    _, first, second = chain(target)
    assert isinstance(first, Copy)
    assert isinstance(second, Copy)
    assert first.sources[0].tree is second.sources[0].tree


def test_a_later_stage_cannot_be_copied_from() -> None:
    text = "FROM a AS x\nCOPY --from=y /o /p\nFROM b AS y\nFROM x\n"
    error = refused(text)
    assert "cannot copy from stage 'y'" in error.message
    assert error.location is not None
    assert error.location.first == 2
    assert build(text, target="y").config.history == ()


def test_only_stages_that_the_target_needs_are_converted() -> None:
    text = "FROM missing AS unused\nRUN ${\nENV A=${\nFROM a AS base\nFROM base AS one\nFROM base AS two\n"
    images = Images()
    build(text, images)
    assert images.asked == [("a:latest", "linux/amd64")]


def test_an_image_is_resolved_once_for_each_platform() -> None:
    images = Images()
    build(
        "FROM a AS x\nFROM a:latest AS y\nFROM --platform=linux/arm64 docker.io/library/a AS z\n"
        "FROM a\nCOPY --from=x /1 /\nCOPY --from=y /1 /\nCOPY --from=z /1 /\nCOPY --from=a /1 /\n",
        images,
    )
    assert sorted(images.asked) == [("a:latest", "linux/amd64"), ("a:latest", "linux/arm64")]


def test_a_stage_stands_on_an_earlier_one() -> None:
    target = build(
        "FROM a AS base\nARG V=1\nENV E=2\nWORKDIR /w\nCMD x\nRUN one\nFROM base AS next\nRUN two $V\nENV F=$V$E\n"
    )
    assert [type(vertex) for vertex in chain(target)] == [Image, MakeDirectory, Run, Run]
    assert labels(target)[1:] == ["[base 2/3] WORKDIR /w", "[base 3/3] RUN one", "[next 1/1] RUN two 1"]
    assert target.config.config.env == (PATH, "E=2", "F=12")
    assert target.config.config.working_dir == "/w"
    assert created_by(target)[-2] == "RUN |1 V=1 /bin/sh -c two $V # buildkit"


def test_the_last_stage_of_a_name_counts() -> None:
    target = build("FROM a AS x\nENV A=1\nFROM b AS x\nENV A=2\nFROM x\n")
    assert target.config.config.env[-1] == "A=2"


def test_a_stage_may_bear_the_name_of_its_image() -> None:
    images = Images()
    build("FROM alpine AS alpine\nFROM alpine\n", images)
    assert images.asked == [("alpine:latest", "linux/amd64")]


TARGETS = [("one", "A=1"), ("ONE", "A=1"), ("0", "A=1"), ("two", "A=2"), ("1", "A=2"), (None, "A=3"), ("", "A=3")]


@pytest.mark.parametrize(("name", "setting"), TARGETS, ids=[repr(row[0]) for row in TARGETS])
def test_a_target_is_named_or_numbered(name: str | None, setting: str) -> None:
    text = "FROM a AS one\nENV A=1\nFROM a AS two\nENV A=2\nFROM a\nENV A=3\n"
    assert build(text, target=name).config.config.env[-1] == setting


@pytest.mark.parametrize("name", ["tow", "7", "-1"])
def test_an_unknown_target_names_the_known_ones(name: str) -> None:
    error = refused("FROM a AS one\nFROM a AS two\nFROM a\n", target=name)
    assert error.message == f"target stage {name!r} could not be found: the stages are one, two, 2"
    assert error.remedy == ("did you mean two?" if name == "tow" else None)


STEPS = ["ONBUILD RUN 0", "RUN 1", "WORKDIR /2", "COPY 3 .", "RUN 4"]
ANEW = [(("ONE",), STEPS[:3]), (("1",), STEPS[3:4]), (("two", "0"), STEPS[:4]), (("2",), STEPS[4:]), ((), [])]


@pytest.mark.parametrize(("names", "marked"), ANEW, ids=["name", "number", "both", "without-name", "none"])
def test_the_steps_of_stages_that_are_to_be_made_anew_say_so(names: tuple[str, ...], marked: list[str]) -> None:
    text = "FROM a AS one\nRUN 1\nWORKDIR /2\nFROM one AS two\nCOPY 3 .\nFROM two\nRUN 4\n"
    target = build(text, Images({"a": RunConfig(on_build=("RUN 0",))}), anew=names)
    found = [vertex.origin.label.partition("] ")[2] for vertex in chain(target) if vertex.origin.anew]
    assert found == marked


@pytest.mark.parametrize("target", [None, "one"])
def test_of_an_unknown_stage_to_be_made_anew_a_warning_names_the_known_ones(target: str | None) -> None:
    """docker takes no notice: a job may have one option for several Dockerfiles."""
    built = build(
        "FROM a AS one\nFROM a AS two\nFROM a\n", Images({"a": RunConfig()}), anew=("two", "tow"), target=target
    )
    assert built.warnings == ("--no-cache-filter: there is no stage 'tow': the stages are one, two, 2",)


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("COPY --from=bulder a b", "check the name; did you mean the stage builder?"),
        ("RUN --mount=from=biulder,target=/x y", "check the name; did you mean the stage builder?"),
        ("FROM bilder", "check the name; did you mean the stage builder?"),
        ("FROM debian", "check the name"),
        ("FROM team/bilder", "check the name"),
    ],
)
def test_a_misspelt_stage_is_taken_for_an_image_and_told(line: str, remedy: str) -> None:
    def resolve(reference: Reference, platform: Platform) -> ResolvedBase:
        if reference.familiar() != "base:latest":
            raise NotFound("not found", remedy="check the name")
        return Images()(reference, platform)

    with pytest.raises(NotFound) as caught:
        convert(parse(f"FROM base AS builder\nFROM base\n{line}\n".encode(), file="D"), options(), resolve)
    assert caught.value.remedy == remedy
    assert caught.value.location is not None
    assert caught.value.location.first == 3


BASES = [
    ("FROM ${X}", "base name (${X}) should not be blank"),
    ("FROM x/UPPER", None),
    ("FROM a:b:c", None),
    ("FROM --platform=$X a", "empty platform value from expression $X"),
    ("FROM --platform=a/b/c/d a", None),
    ("FROM ${X", "syntax error: missing '}' in ${…}"),
    ("FROM Base", "invalid reference 'Base'"),
]


@pytest.mark.parametrize(("line", "message"), BASES, ids=[row[0] for row in BASES])
def test_a_wrong_base_is_refused_even_in_a_stage_that_is_not_needed(line: str, message: str | None) -> None:
    error = refused(f"FROM a AS base\n{line}\nFROM a\n")
    assert error.message == message or message is None
    assert error.location == SourceRange("Dockerfile", 2, 2, (line,))


def test_from_uses_global_and_platform_arguments() -> None:
    images = Images()
    text = "ARG N=alpine\nARG T=${N}-3\nARG U\nFROM --platform=$BUILDPLATFORM ${N}:$T AS ${NOT_A_NAME}\n"
    error = refused(text)
    assert "invalid name for build stage" in error.message
    text = text.replace(" AS ${NOT_A_NAME}", "").replace("${N}:$T", "${N}:$T-${TARGETARCH}${U:-u}")
    build(text, images, build_args={"N": "deb"}, platform=ARM64)
    assert images.asked == [("deb:deb-3-arm64u", "linux/amd64")]


def test_an_image_that_cannot_be_found_is_an_error_at_its_from() -> None:
    def missing(reference: Reference, platform: Platform) -> ResolvedBase:
        raise NotFound(f"no {reference} for {platform}")

    with pytest.raises(NotFound) as caught:
        convert(parse(b"FROM a AS x\nFROM x\n", file="D"), options(), missing)
    assert caught.value.location == SourceRange("D", 1, 1, ("FROM a AS x",))


def test_the_platform_of_the_config_is_the_wanted_one() -> None:
    base = ImageConfig(platform=Platform("linux", "arm", "v7"))
    images = Images(whole={"a": base})
    assert build("FROM a\n", images).config.platform == base.platform
    assert build("FROM a\n", images, platform=ARM64).config.platform == ARM64
    assert build("FROM a\n", images, platform=Platform("linux", "arm")).config.platform.variant == "v7"


def test_networks() -> None:
    text = "FROM a\nRUN a\nRUN --network=none b\nRUN --network=host c\nRUN --network=default d\n"
    _, *runs = chain(build(text, network=Network.NONE, allowed={"network.host"}))
    assert [run.network for run in runs if isinstance(run, Run)] == ["none", "none", "host", "none"]


def test_labels_show_what_variables_hold() -> None:
    target = build('FROM a\nARG V="x y"\nRUN echo "$V" $NONE \'$V\'\nCOPY a "/$V/$NONE"\nRUN ${\nrun x\n')
    assert labels(target)[1:] == [
        "[2/5] RUN echo \"x y\" $NONE '$V'",
        "[3/5] COPY a /x y/",
        "[4/5] RUN ${",
        "[5/5] RUN x",
    ]


def test_steps_are_aligned() -> None:
    found = labels(build("FROM a\n" + "RUN x\n" * 10))
    assert found[1] == "[ 2/11] RUN x"
    assert found[10] == "[11/11] RUN x"


def test_triggers_of_the_base_run_first_and_are_cleared() -> None:
    images = Images({"a": RunConfig(on_build=("RUN one", "ENV X=1", "COPY --from=s /f /g"))})
    target = build("FROM b AS s\nRUN zero\nFROM a\nRUN two $X\nONBUILD RUN later\n", images)
    _, one, copy, two = chain(target)
    assert isinstance(copy, Copy)
    assert isinstance(copy.sources[0].tree, Run)
    assert one.origin.label == "[stage-1 2/5] ONBUILD RUN one"
    assert one.origin.location == SourceRange("Dockerfile", 3, 3, ("FROM a",))
    assert two.origin.label == "[stage-1 4/5] RUN two 1"
    assert target.config.config.on_build == ("RUN later",)
    assert created_by(target) == [
        "RUN /bin/sh -c one # buildkit",
        "ENV X=1",
        "COPY /f /g # buildkit",
        "RUN /bin/sh -c two $X # buildkit",
    ]


def test_triggers_of_a_stage_run_in_those_that_stand_on_it() -> None:
    text = "FROM a AS s\nONBUILD ENV X=1\nFROM s AS t\nENV Y=$X\nFROM t\nENV Z=1\n"
    assert build(text).config.config.env == (PATH, "X=1", "Y=1", "Z=1")
    assert build(text, target="s").config.config.on_build == ("ENV X=1",)
    assert build(text).config.config.on_build == ()


def test_a_wrong_trigger_is_an_error_at_the_from() -> None:
    error = refused("FROM a\n", Images({"a": RunConfig(on_build=("RNU x",))}))
    assert error.message == "in the ONBUILD trigger 'RNU x': unknown instruction RNU"
    assert error.location == SourceRange("Dockerfile", 1, 1, ("FROM a",))


def test_maintainer_sets_the_author() -> None:
    target = build("FROM a\nMAINTAINER me <a@b>\n")
    assert target.config.author == "me <a@b>"
    assert created_by(target) == ["MAINTAINER me <a@b>"]


def test_a_thousand_stages_are_no_trouble() -> None:
    text = "FROM a AS s0\n" + "".join(f"FROM s{n} AS s{n + 1}\nENV A{n}=1\nRUN x\n" for n in range(1_000))
    assert len(chain(build(text))) == 1_001


def test_a_history_that_grows_too_large_is_refused() -> None:
    error = refused("FROM a\nENV A=" + "x" * 60_000 + "\n" + "".join("LABEL a=$A\n" for _ in range(80)))
    assert "history of this image would be larger" in error.message


def test_variables_that_grow_too_large_are_refused() -> None:
    doubled = "".join(f"ENV A{n + 1}=$A{n}$A{n}\n" for n in range(40))
    assert "expand to more than" in refused(f"FROM a\nENV A0=xxxxxxxx\n{doubled}").message


LINES = st.sampled_from(
    [
        "FROM a",
        "FROM scratch AS s",
        "FROM s AS t",
        "FROM $A",
        "FROM --platform=$P a",
        "ARG A=1",
        "ARG P=linux/arm64",
        "ENV A=$P B=${A:-x}",
        "RUN x $A",
        'RUN ["x"]',
        "COPY --from=s a b",
        "COPY --from=0 a b",
        "COPY --from=$A a b",
        "COPY a $A/",
        "ADD ../.. .",
        "WORKDIR $A/..",
        "EXPOSE $A/udp",
        "VOLUME $B",
        "USER $A",
        "STOPSIGNAL $A",
        "LABEL $A=$B",
        "ONBUILD RUN x",
        "ONBUILD COPY --from=t a b",
        "CMD x",
        "ENTRYPOINT []",
        'SHELL ["sh"]',
    ]
)


@given(st.lists(LINES, max_size=12), st.dictionaries(st.sampled_from("ABP"), st.text(max_size=8)))
def test_any_dockerfile_gives_a_target_or_a_refusal(lines: list[str], build_args: dict[str, str]) -> None:
    text = "FROM a AS s\n" + "\n".join(lines)
    error = refusal(lambda: build(text, build_args=build_args))
    if error:
        assert error.location is not None
        return
    target = build(text, build_args=build_args)
    layers = [vertex for vertex in chain(target) if isinstance(vertex, (Run, Copy, MakeDirectory))]
    assert len(layers) == sum(not entry.empty_layer for entry in target.config.history)


@given(st.text(alphabet="FROMUNCPYa $={}[]\"'\\\n:/-<1", max_size=120))
def test_any_text_gives_a_target_or_a_refusal(text: str) -> None:
    error = refusal(lambda: build(text))
    assert error is None or error.location is not None


def test_a_label_shows_no_password_of_a_web_address() -> None:
    target = build("FROM scratch\nADD https://user:secret@host/file /\nRUN curl https://secret@host/\n")
    assert labels(target)[1:] == ["[2/2] RUN curl https://…@host/", "[1/2] ADD https://…@host/file /"][::-1]
