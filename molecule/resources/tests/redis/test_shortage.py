"""Redis or Valkey without memory, and without disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

import pytest
from resources.deployment import Deployment, Server
from resources.redis import little_memory, operate
from resources.redis_shortage import shortage_without_loss
from resources.status import status


@contextmanager
def full_disk(deployment: Deployment, server: Server) -> Iterator[str]:
    """The data are on a small disk for a while, which something else fills."""
    folder = f"/var/lib/{deployment.app}-{deployment.broker_kind}"
    unit = f"{deployment.app}-redis.service"
    while_stopped(
        server,
        unit,
        f"cp -aT {folder} /root/data; mount -t tmpfs -o size=64m tmpfs {folder}; cp -aT /root/data {folder}",
    )
    try:
        server.attempt("dd", "if=/dev/zero", f"of={folder}/filler", "bs=64k")
        yield "MISCONF"
    finally:
        back = f"rm -r {folder}/filler /root/data; cp -aT {folder} /root/data; umount {folder}; rm -r {folder}/*"
        while_stopped(server, unit, f"{back}; cp -aT /root/data {folder}; rm -r /root/data")


def while_stopped(server: Server, unit: str, commands: str) -> None:
    server.run("systemctl", "stop", unit)
    server.run("sh", "-ec", commands)
    server.run("systemctl", "start", unit)


@pytest.mark.parametrize(
    ("shortage", "problem"),
    [(little_memory, "of its memory is used"), (full_disk, "cannot write its append-only file")],
)
def test_publishers_are_told_of_a_shortage_and_no_task_is_lost(
    deployment: Deployment, shortage: Callable[[Deployment, Server], AbstractContextManager[str]], problem: str
) -> None:
    server = deployment.first("redis")
    statistics = partial(operate, deployment, server, "INFO", "stats")
    with shortage_without_loss(deployment, shortage(deployment, server), statistics):
        said = status(deployment)
        assert problem in said, said
