"""What changes a whole process, such as entering namespaces, done in a child of its own."""

from __future__ import annotations

import os
import pickle
import traceback
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


def isolated(work: Callable[[], Result]) -> Result:
    """Return what ``work`` returns in a forked child, or raise what it raises there; both must be picklable."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _work_and_exit(work, writing)
    os.close(writing)
    with open(reading, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    assert answer, f"the child ended with status {status}"
    result: Result
    failure: BaseException | None
    result, failure = pickle.loads(answer)
    if failure is not None:
        raise failure
    return result


def _work_and_exit(work: Callable[[], object], writing: int) -> None:
    try:
        with open(writing, "wb") as pipe:
            try:
                answer = pickle.dumps((work(), None))
            except BaseException as error:  # noqa: BLE001  (raised again in the parent)
                answer = _pickled(error)
            pipe.write(answer)
    finally:
        os._exit(0)


def _pickled(error: BaseException) -> bytes:
    error.add_note("".join(traceback.format_exception(error)))
    try:
        answer = pickle.dumps((None, error))
        pickle.loads(answer)
    except Exception:  # noqa: BLE001  (whatever an exception's constructor does)
        return pickle.dumps((None, AssertionError("".join(traceback.format_exception(error)))))
    return answer
