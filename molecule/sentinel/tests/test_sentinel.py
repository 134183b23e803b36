"""A primary that is gone costs no task: lost = 0, and each takes effect once."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import pytest
from resources.deployment import Deployment, Server
from resources.effects import SECONDS_UNTIL_A_LOST_MESSAGE_IS_BACK, once
from resources.redis import little_memory, operate
from resources.redis_shortage import shortage_without_loss
from resources.sentinel import information, is_whole, primary, redis_unit, sentinel, until_another_serves, until_whole
from resources.status import status
from resources.waiting import wait_for


def kill(deployment: Deployment, server: Server) -> Callable[[], object]:
    """As a process that the kernel ends and nobody starts again."""
    change = f"/run/systemd/system/{redis_unit(deployment)}.d/stays-dead.conf"
    server.run("install", "-D", "/dev/stdin", change, stdin="[Service]\nRestart=no\n")
    server.run("systemctl", "daemon-reload")
    server.run("systemctl", "kill", "--signal=KILL", redis_unit(deployment))

    def bring_back() -> None:
        server.run("rm", change)
        server.run("systemctl", "daemon-reload")
        server.run("systemctl", "start", redis_unit(deployment))

    return bring_back


def cut_off(deployment: Deployment, server: Server) -> Callable[[], object]:
    """Its name still has an address (docs/sentinel.md)."""
    server.run("ip", "link", "set", "eth0", "down")
    return partial(server.run, "ip", "link", "set", "eth0", "up")


@pytest.mark.parametrize("fault", [kill, cut_off], ids=["killed", "cut off"])
def test_a_primary_that_is_gone_costs_no_task(
    deployment: Deployment, fault: Callable[[Deployment, Server], Callable[[], object]]
) -> None:
    until_whole(deployment)
    wait_for("the primary is a host of its own", lambda: leave_first(deployment), seconds=180)
    gone = primary(deployment)
    keys = deployment.send_effects("before", 6, 1)
    wait_for("tasks run", lambda: deployment.ledger(keys))
    bring_back = fault(deployment, gone)
    start = time.monotonic()
    try:
        until_another_serves(deployment, gone, seconds=60)
        chosen = time.monotonic() - start
        deployment.all_effects(deployment.send_effects("flows", 1, 0), seconds=SECONDS_UNTIL_A_LOST_MESSAGE_IS_BACK)
        print(f"another primary after {chosen:.0f} s, work flows after {time.monotonic() - start:.0f} s")
        assert once(deployment.all_effects(keys, SECONDS_UNTIL_A_LOST_MESSAGE_IS_BACK))
    finally:
        bring_back()
    until_whole(deployment)
    assert information(deployment, gone)["role"] == "slave"


def test_a_replica_that_is_gone_costs_no_task(deployment: Deployment) -> None:
    until_whole(deployment)
    wait_for("the primary is a host of its own", lambda: leave_first(deployment), seconds=180)
    followed, app = primary(deployment), deployment.first("web")
    gone = next(server for server in deployment.on("redis") if server not in (followed, app))
    keys = deployment.send_effects("replicated", 6, 1)
    wait_for("tasks run", lambda: deployment.ledger(keys))
    bring_back = kill(deployment, gone)
    try:
        keys += deployment.send_effects("replicated-once", 6, 0)
        assert once(deployment.all_effects(keys, SECONDS_UNTIL_A_LOST_MESSAGE_IS_BACK))
        assert primary(deployment) is followed
    finally:
        bring_back()
    until_whole(deployment)


def test_a_primary_that_systemd_starts_again_costs_no_task(deployment: Deployment) -> None:
    until_whole(deployment)
    keys = deployment.send_effects("again", 6, 1)
    wait_for("tasks run", lambda: deployment.ledger(keys))
    primary(deployment).kill(redis_unit(deployment))
    assert once(deployment.all_effects(keys, SECONDS_UNTIL_A_LOST_MESSAGE_IS_BACK))
    until_whole(deployment)


def test_a_restart_of_the_primarys_host_costs_no_task(deployment: Deployment) -> None:
    until_whole(deployment)
    wait_for("the primary is a host of its own", lambda: leave_first(deployment), seconds=180)
    keys = deployment.send_effects("host", 6, 1)
    wait_for("tasks run", lambda: deployment.ledger(keys))
    gone = primary(deployment)
    gone.restart()
    until_another_serves(deployment, gone)
    chosen = primary(deployment)
    until_whole(deployment)
    # A Sentinel that takes the primary for a replica makes it one of its own.
    for server in deployment.on("redis"):
        assert f"{chosen.name}:6379" not in sentinel(deployment, server, "REPLICAS", deployment.app)
    assert once(deployment.all_effects(keys, SECONDS_UNTIL_A_LOST_MESSAGE_IS_BACK))
    assert primary(deployment) is chosen


def leave_first(deployment: Deployment) -> bool:
    """The first host has the app too."""
    if primary(deployment) is not deployment.first("web"):
        return is_whole(deployment)
    deployment.first("web").run("systemctl", "restart", redis_unit(deployment))
    return False


def test_restarts_one_after_another_cost_no_task(deployment: Deployment) -> None:
    until_whole(deployment)
    keys = deployment.send_effects("restarts", 20, 1)
    for server in deployment.on("redis"):
        server.run("systemctl", "restart", redis_unit(deployment))
    assert once(deployment.all_effects(keys, SECONDS_UNTIL_A_LOST_MESSAGE_IS_BACK))
    until_whole(deployment)


def test_publishers_are_told_of_a_primary_without_memory_and_no_task_is_lost(deployment: Deployment) -> None:
    until_whole(deployment)
    short = primary(deployment)
    statistics = partial(operate, deployment, short, "INFO", "stats")
    with shortage_without_loss(deployment, little_memory(deployment, short), statistics):
        said = status(deployment)
        assert "of its memory is used" in said, said
    assert primary(deployment) is short


def test_a_run_changes_nothing_and_leaves_the_primary_where_it_is(deployment: Deployment) -> None:
    until_whole(deployment)
    found = primary(deployment)
    assert deployment.converge().changed == 0
    assert primary(deployment) is found
    assert is_whole(deployment)


def test_sentinels_ask_for_a_certificate_and_a_user(deployment: Deployment) -> None:
    server, cli = deployment.first("redis"), f"{deployment.broker_kind}-cli"
    anonymous = server.attempt(cli, "-p", "26379", "--tls", "--cacert", f"/etc/{deployment.app}/pki/ca.crt", "PING")
    assert "PONG" not in anonymous.stdout
    assert "PONG" not in server.attempt(cli, "-p", "26379", "PING").stdout
    score = server.run("systemd-analyze", "security", "--no-pager", f"{deployment.app}-sentinel.service").splitlines()[
        -1
    ]
    assert float(score.split(": ")[1].split()[0]) <= 2.0
