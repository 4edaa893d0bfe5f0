from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.differential.laboratory import laboratory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.differential.cases import Case
    from tests.differential.laboratory import Comparison


@pytest.fixture(scope="session")
def compared() -> Iterator[Callable[[Case], Future[Comparison]]]:
    """Gives the comparison of a case, which is begun when it is first asked for; as many at once as processors."""
    begun: dict[str, Future[Comparison]] = {}
    with laboratory() as lab, ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:

        def compare(case: Case) -> Future[Comparison]:
            if case.name not in begun:
                begun[case.name] = pool.submit(lab.compare, case)
            return begun[case.name]

        yield compare
        pool.shutdown(cancel_futures=True)
