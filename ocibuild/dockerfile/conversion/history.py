"""The history of an image: what each instruction is recorded as."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.dockerfile.conversion.goformat import quote, quote_list, quote_rune
from ocibuild.dockerfile.parser.durations import format_duration
from ocibuild.errors import DockerfileError, without_passwords
from ocibuild.graph import Context, Copy, CopySource, GitTree, HttpFile, Image, Run, Scratch, inputs
from ocibuild.oci import History

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ocibuild.dockerfile.parser.instructions import Pairs
    from ocibuild.graph import Vertex
    from ocibuild.oci import Healthcheck

COMMENT = "buildkit.dockerfile.v0"
"""What tools look for to know which kind of builder wrote an entry."""
EXPORTER_COMMENT = "buildkit.exporter.image.v0"
"""What an entry has that no instruction stands behind."""
MAX_SIZE = 4 << 20
"""Most characters that all entries of one image may have together: a registry takes no larger config."""


class HistoryLog:
    """The entries of one image, oldest first; new ones get the time ``created``, or one when the image is assembled."""

    def __init__(self, entries: Sequence[History] = (), *, created: str | None = None) -> None:
        self._created = created
        self._entries = list(entries)
        self._size = sum(len(entry.created_by) for entry in entries)

    def add(self, created_by: str, *, makes_layer: bool = False) -> None:
        """Record one more step; raises DockerfileError where the history grows too large."""
        self._size += len(created_by)
        if self._size > MAX_SIZE:
            raise DockerfileError(f"the history of this image would be larger than {MAX_SIZE} characters")
        self._entries.append(History(self._created, created_by, comment=COMMENT, empty_layer=not makes_layer))

    def entries(self) -> tuple[History, ...]:
        """Return the entries so far."""
        return tuple(self._entries)


def run_text(args: Sequence[str], arguments: Mapping[str, str]) -> str:
    """Return what a RUN with these ``args`` is recorded as, with the build ``arguments`` that are in scope."""
    declared = [f"{name}={value}" for name, value in arguments.items()]
    count = [f"|{len(declared)}"] if declared else []
    return " ".join(["RUN", *count, *declared, *args, "# buildkit"])


def missing_entries(vertex: Vertex, missing: int, created: str | None) -> tuple[History, ...]:
    """Return entries for ``missing`` layers of an image whose last vertex is ``vertex``: its base did not record them.

    As in the reference implementation they tell of the last layers, and end the history.
    """
    chain = list(_chain(vertex))
    told = [*chain[:missing], *chain[-1:] * (missing - len(chain))]
    return tuple(History(created, _layer_text(one), comment=EXPORTER_COMMENT) for one in reversed(told))


def _chain(vertex: Vertex) -> Iterator[Vertex]:
    """Yield what made the layers of an image, the last one first; all layers of its base are one."""
    yield vertex
    while (below := inputs(vertex)) and not isinstance(below[0], Scratch):
        vertex = below[0]
        yield vertex


def _layer_text(vertex: Vertex) -> str:
    match vertex:
        case Image(reference=reference):
            return f"pulled from {reference}"
        case Run(args=args):
            return f"mount / from exec {' '.join(args)}"
        case Copy(base=Scratch(), sources=(CopySource(tree=Context(name=name)),)):
            return f"local source for {name}"
        case Copy(base=Scratch(), sources=(CopySource(tree=GitTree(reference=reference)),)):
            return f"git snapshot for {reference.shown}#{reference.ref}"
        case Copy(base=Scratch(), sources=(CopySource(tree=HttpFile(url=url)),)):
            return f"http url {without_passwords(url)}"
        case _:
            return vertex.origin.label


def pairs_text(name: str, pairs: Pairs) -> str:
    """Return what an ENV or LABEL is recorded as."""
    return " ".join([name, *(f"{key}={value}" for key, value in pairs)])


def healthcheck_text(check: Healthcheck) -> str:
    """Return what a HEALTHCHECK is recorded as."""
    times = (check.interval, check.timeout, check.start_period, check.start_interval)
    fields = [quote_list(check.test), *(quote(format_duration(time)) for time in times), quote_rune(check.retries)]
    return f"HEALTHCHECK &{{{' '.join(fields)}}}"
