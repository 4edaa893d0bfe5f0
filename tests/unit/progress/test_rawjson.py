from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ocibuild.graph import Finished, Noted, Output, Started, Stream, Transferred, Warned
from ocibuild.oci import Digest
from ocibuild.progress.rawjson import JsonView

if TYPE_CHECKING:
    from ocibuild.graph import Event


def _shown(*events: tuple[float, Event]) -> list[dict[str, Any]]:
    written: list[str] = []
    view = JsonView(written.append)
    for at, event in events:
        view.show(event, at)
        view.draw(at)
    view.close(99.0)
    return [json.loads(line) for line in "".join(written).splitlines()]


def test_a_step_is_a_vertex_that_starts_and_completes() -> None:
    first, last = _shown((10.0, Started(3, "RUN make")), (12.5, Finished(3, "RUN make", 2.5)))
    [started], [completed] = first["vertexes"], last["vertexes"]
    assert started["digest"] == completed["digest"] == Digest.parse(started["digest"])
    assert started["name"] == completed["name"] == "RUN make"
    assert "completed" not in started
    assert "error" not in completed
    seconds = [datetime.fromisoformat(completed[key]) for key in ("started", "completed")]
    assert (seconds[1] - seconds[0]).total_seconds() == 2.5
    assert completed["started"] == started["started"]


def test_times_are_those_of_the_wall_clock_in_utc() -> None:
    import time

    [line] = _shown((time.monotonic(), Started(1, "a")))
    moment = datetime.fromisoformat(line["vertexes"][0]["started"])
    assert moment.tzinfo == UTC
    assert abs((datetime.now(UTC) - moment).total_seconds()) < 60


def test_cached_failed_and_cancelled_steps_say_so() -> None:
    events = [
        Finished(1, "a", 0, cached=True),
        Finished(2, "b", 1, error="status 1"),
        Finished(3, "c", 1, cancelled=True),
    ]
    cached, failed, cancelled = _shown(*((0, event) for event in events))
    assert cached["vertexes"][0]["cached"] is True
    assert failed["vertexes"][0]["error"] == "status 1"
    assert cancelled["vertexes"][0]["error"] == "canceled"


def test_output_is_carried_as_it_came_with_the_number_of_its_stream() -> None:
    text = b"\x1b[31mhalf a character \xe6"
    _, out, err = _shown(
        (0, Started(1, "a")), (1, Output(1, Stream.STDOUT, text)), (1, Output(1, Stream.STDERR, b"e\n"))
    )
    assert base64.b64decode(out["logs"][0]["data"]) == text
    assert (out["logs"][0]["stream"], err["logs"][0]["stream"]) == (1, 2)


def test_transfers_are_statuses_with_their_bytes() -> None:
    events = [(0.001 * at, Transferred(1, "layer", "downloading", at, 100)) for at in range(101)]
    _, first, last = _shown((0, Started(1, "a")), *events)
    [status] = last["statuses"]
    assert first["statuses"][0]["current"] == 0
    assert (status["id"], status["current"], status["total"]) == ("downloading layer", 100, 100)
    assert status["started"] == first["statuses"][0]["started"]
    assert status["completed"] == status["timestamp"]


def test_the_last_state_of_an_unfinished_transfer_is_not_lost() -> None:
    lines = _shown(
        (0, Transferred(1, "f", "downloading", 1, None)), (0.01, Transferred(1, "f", "downloading", 2, None))
    )
    assert [line["statuses"][0]["current"] for line in lines] == [1, 2]
    assert "total" not in lines[0]["statuses"][0]


def test_a_warning_has_its_text_in_base64() -> None:
    [line] = _shown((0, Warned("careful")))
    assert base64.b64decode(line["warnings"][0]["short"]) == b"careful"


def test_a_note_is_a_line_of_the_vertex_s_log() -> None:
    started, note = _shown((0, Started(1, "a")), (1, Noted(1, "not cached: \udcffa\nx")))
    [log] = note["logs"]
    assert (log["vertex"], log["stream"]) == (started["vertexes"][0]["digest"], 2)
    assert base64.b64decode(log["data"]) == b"not cached: a x\n"
