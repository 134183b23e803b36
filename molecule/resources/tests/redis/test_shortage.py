"""Redis or Valkey without room: it drops nothing, publishers are told, and the outbox sends once there is room."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from resources.deployment import Deployment, Server
from resources.effects import once
from resources.publisher import publisher_hears
from resources.redis import evicted, little_memory
from resources.waiting import wait_for

SECONDS_UNTIL_THE_OUTBOX_HAS_SENT = 300


@contextmanager
def full_disk(deployment: Deployment, server: Server) -> Iterator[tuple[str, str]]:
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
        yield "MISCONF", "cannot write its append-only file"
    finally:
        back = f"rm -r {folder}/filler /root/data; cp -aT {folder} /root/data; umount {folder}; rm -r {folder}/*"
        while_stopped(server, unit, f"{back}; cp -aT /root/data {folder}; rm -r /root/data")


def while_stopped(server: Server, unit: str, commands: str) -> None:
    server.run("systemctl", "stop", unit)
    server.run("sh", "-ec", commands)
    server.run("systemctl", "start", unit)


@pytest.mark.parametrize("shortage", [little_memory, full_disk])
def test_publishers_are_told_of_a_shortage_and_no_task_is_lost(
    deployment: Deployment, shortage: Callable[[Deployment, Server], AbstractContextManager[tuple[str, str]]]
) -> None:
    server = deployment.first("redis")
    with shortage(deployment, server) as (error, problem):
        wait_for("a publisher is told", lambda: publisher_hears(deployment, error))
        keys = deployment.send_effects("without-room", 3, 0)
        assert evicted(deployment, server) == "evicted_keys:0"
        said = deployment.play("status.yml").output
    assert problem in " ".join(said.split()), said
    assert once(deployment.all_effects(keys, SECONDS_UNTIL_THE_OUTBOX_HAS_SENT))
