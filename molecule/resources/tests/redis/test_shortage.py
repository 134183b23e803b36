"""Redis or Valkey without memory, and without disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

import pytest
from resources.deployment import Deployment, Server
from resources.full_disk import full_disk
from resources.redis import little_memory, operate
from resources.redis_shortage import shortage_without_loss
from resources.status import status


@contextmanager
def disk_of_redis_full(deployment: Deployment, server: Server) -> Iterator[str]:
    with full_disk(
        server, f"{deployment.app}-redis.service", f"/var/lib/{deployment.app}-{deployment.broker_kind}", 64
    ):
        yield "MISCONF"


@pytest.mark.parametrize(
    ("shortage", "problem"),
    [(little_memory, "of its memory is used"), (disk_of_redis_full, "cannot write its append-only file")],
)
def test_publishers_are_told_of_a_shortage_and_no_task_is_lost(
    deployment: Deployment, shortage: Callable[[Deployment, Server], AbstractContextManager[str]], problem: str
) -> None:
    server = deployment.first("redis")
    statistics = partial(operate, deployment, server, "INFO", "stats")
    with shortage_without_loss(deployment, shortage(deployment, server), statistics):
        said = status(deployment)
        assert problem in said, said
