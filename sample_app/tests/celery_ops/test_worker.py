"""What celery_ops changes in a worker's processes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tests.processes import Process


def kibibytes(pid: str, name: str) -> int:
    found = re.search(rf"^{name}: +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found
    return int(found[1])


def test_the_children_of_prefork_share_most_of_their_memory(start_worker: Callable[..., Process]) -> None:
    worker = start_worker(pool="prefork")
    children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
    assert len(children) == 2
    for child in children:
        assert kibibytes(child, "Private_Dirty") < kibibytes(child, "Rss") / 2
