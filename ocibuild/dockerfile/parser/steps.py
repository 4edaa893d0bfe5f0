"""The instructions that change the tree: RUN, COPY and ADD."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ocibuild.dockerfile.parser import instructions as ins
from ocibuild.dockerfile.parser.arguments import blank_separated, json_strings
from ocibuild.dockerfile.parser.cutline import command_line
from ocibuild.dockerfile.parser.flags import Flags, FlagSet
from ocibuild.dockerfile.parser.heredocs import Opener, document, parse_opener
from ocibuild.dockerfile.parser.lines import SURROGATE
from ocibuild.dockerfile.suggest import did_you_mean
from ocibuild.errors import DockerfileError
from ocibuild.graph import Network, Security
from ocibuild.graph.csvfields import csv_fields

if TYPE_CHECKING:
    from ocibuild.dockerfile.parser.cutline import CutLine

_RUN_FLAGS = FlagSet(
    ("network", "security"), lists=("mount",), refused={"device": "a build has no devices of the machine"}
)
_COPY_FLAGS = FlagSet(("from", "chown", "chmod"), ("link", "parents"), ("exclude",))
_ADD_FLAGS = FlagSet(("chown", "chmod", "checksum"), ("link", "keep-git-dir", "unpack"), ("exclude",))


def parse_run(line: CutLine) -> ins.Run:
    """RUN [--mount=MOUNT]… [--network=MODE] [--security=MODE] COMMAND or ["EXECUTABLE", …]."""
    options = line.options(_RUN_FLAGS)
    command = command_line(line.rest)
    if not command.args:
        raise DockerfileError("RUN requires a command")
    if any(SURROGATE.search(document.raw) for document in line.documents):
        raise DockerfileError("the heredocs of RUN must be valid UTF-8")
    mounts = options.list("mount")
    for mount in mounts:
        _check_mount(mount)
    network, security = _network(options), _security(options)
    return ins.Run(*line.base, command, network, security, mounts, line.documents)


def _check_mount(mount: str) -> None:
    """Raise DockerfileError for what can be seen to be wrong before variables are known."""
    try:
        fields = csv_fields(mount)
    except DockerfileError as error:
        raise DockerfileError(f"RUN --mount: {error.message}", remedy=error.remedy) from error
    for field in fields:
        name, equals, value = field.partition("=")
        if equals and name.lower() == "from" and re.search(r"\$.", value):
            raise DockerfileError(
                "variables are not expanded in the from of RUN --mount",
                remedy="define a stage with FROM using a global ARG, and mount from that",
            )


def _security(options: Flags) -> Security:
    mode = options.values.get("security", "sandbox")
    try:
        return Security(mode)
    except ValueError:
        raise DockerfileError(
            f"invalid security mode {mode!r}", remedy=did_you_mean(mode, Security) or "use sandbox or insecure"
        ) from None


def _network(options: Flags) -> Network:
    mode = options.values.get("network", "default")
    try:
        return Network(mode)
    except ValueError:
        raise DockerfileError(f"invalid network mode {mode!r}", remedy="use default, none or host") from None


def parse_copy(line: CutLine) -> ins.Copy:
    """COPY [--from=F] [--chown=O] [--chmod=M] [--link] [--parents] [--exclude=P]… SOURCE… DESTINATION."""
    sources, documents, destination = _sources(line)
    options = line.options(_COPY_FLAGS)
    return ins.Copy(
        *line.base,
        sources,
        destination,
        from_=options.value("from"),
        owner=options.value("chown"),
        mode=options.value("chmod"),
        link=options.switches.get("link", False),
        parents=options.switches.get("parents", False),
        exclude=options.list("exclude"),
        heredocs=documents,
    )


def parse_add(line: CutLine) -> ins.Add:
    """ADD [--chown=O] [--chmod=M] [--link] [--exclude=P]… [--checksum=C] [--keep-git-dir] [--unpack] SOURCE… DEST."""
    sources, documents, destination = _sources(line)
    options = line.options(_ADD_FLAGS)
    return ins.Add(
        *line.base,
        sources,
        destination,
        owner=options.value("chown"),
        mode=options.value("chmod"),
        link=options.switches.get("link", False),
        exclude=options.list("exclude"),
        checksum=options.value("checksum"),
        keep_git_dir=options.switches.get("keep-git-dir"),
        unpack=options.switches.get("unpack"),
        heredocs=documents,
    )


def _sources(line: CutLine) -> tuple[tuple[str, ...], tuple[ins.Heredoc, ...], str]:
    """Return the plain sources, the documents among the sources, and the destination.

    A document is known by its name alone: of two with the same name the last one counts, and a word in JSON form, which
    opens none, stands for an empty one.
    """
    parts = json_strings(line.rest)
    if parts is None:
        parts = blank_separated(line.rest)
    if len(parts) < 2:
        raise DockerfileError(f"{line.name} requires at least two arguments", remedy="name a source and a destination")
    *sources, destination = parts
    if "<<" not in line.rest:
        return tuple(sources), (), destination
    if _opener(destination):
        raise DockerfileError(f"{line.name} cannot have a heredoc as its destination", remedy="name a file after it")
    raw = {found.name: found.raw for found in line.documents}
    openers = [opener for source in sources if (opener := _opener(source))]
    documents = tuple(document(opener, raw.get(opener.name, "")) for opener in openers)
    return tuple(source for source in sources if not _opener(source)), documents, destination


def _opener(word: str) -> Opener | None:
    try:
        return parse_opener(word)
    except DockerfileError:
        return None
