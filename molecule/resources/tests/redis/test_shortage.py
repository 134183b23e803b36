"""Redis or Valkey without room: it drops nothing, publishers are told, and the outbox sends once there is room."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from resources.deployment import Deployment
from resources.effects import once
from resources.waiting import wait_for

SECONDS_UNTIL_THE_OUTBOX_HAS_SENT = 300
SEND = """
import config.celery
from shop.tasks import noop
try:
    noop.delay()
    print("sent")
except Exception as error:
    print(error)
"""


def operate(deployment: Deployment, *command: str) -> str:
    """As the operator, through the socket."""
    app, cli = deployment.app, f"{deployment.broker_kind}-cli"
    ask = f'REDISCLI_AUTH=$(cat /run/{app}-redis-operator) {cli} -s /run/{app}-redis/redis.sock "$@"'
    return deployment.first("redis").run("sh", "-c", ask, "sh", "--user", "operator", *command)


def evicted(deployment: Deployment) -> str:
    return next(line for line in operate(deployment, "INFO", "stats").split() if line.startswith("evicted_keys:"))


@contextmanager
def little_memory(deployment: Deployment) -> Iterator[tuple[str, str]]:
    operate(deployment, "CONFIG", "SET", "maxmemory", "1mb")
    try:
        yield "used memory > 'maxmemory'", "of its memory is used"
    finally:
        deployment.first("redis").run("systemctl", "reload", f"{deployment.app}-redis.service")


@contextmanager
def full_disk(deployment: Deployment) -> Iterator[tuple[str, str]]:
    """The data are on a small disk for a while, which something else fills."""
    folder = f"/var/lib/{deployment.app}-{deployment.broker_kind}"
    move(
        deployment, f"cp -aT {folder} /root/data; mount -t tmpfs -o size=64m tmpfs {folder}; cp -aT /root/data {folder}"
    )
    server = deployment.first("redis")
    try:
        server.attempt("dd", "if=/dev/zero", f"of={folder}/filler", "bs=64k")
        yield "MISCONF", "cannot write its append-only file"
    finally:
        back = f"rm -r {folder}/filler /root/data; cp -aT {folder} /root/data; umount {folder}; rm -r {folder}/*"
        move(deployment, f"{back}; cp -aT /root/data {folder}; rm -r /root/data")


def move(deployment: Deployment, commands: str) -> None:
    """While Redis is stopped."""
    server, unit = deployment.first("redis"), f"{deployment.app}-redis.service"
    server.run("systemctl", "stop", unit)
    server.run("sh", "-ec", commands)
    server.run("systemctl", "start", unit)


@pytest.mark.parametrize("shortage", [little_memory, full_disk])
def test_publishers_are_told_of_a_shortage_and_no_task_is_lost(
    deployment: Deployment, shortage: Callable[[Deployment], AbstractContextManager[tuple[str, str]]]
) -> None:
    with shortage(deployment) as (error, problem):
        wait_for("a publisher is told", lambda: error in deployment.django(SEND))
        keys = deployment.send_effects("without-room", 3, 0)
        assert evicted(deployment) == "evicted_keys:0"
        said = deployment.play("status.yml").output
    assert problem in " ".join(said.split()), said
    assert once(deployment.all_effects(keys, SECONDS_UNTIL_THE_OUTBOX_HAS_SENT))
