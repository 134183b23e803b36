"""The Redis with Sentinels of test_hosts.py is left for RabbitMQ: what waits comes over, and no node keeps a thing."""

from __future__ import annotations

from typing import Any

import pytest
from resources.deployment import Deployment
from resources.effects import once
from resources.sentinel import information, redis_unit
from resources.waiting import wait_for

TO_RABBITMQ: dict[str, Any] = {"broker": {"kind": "rabbitmq"}}
WAITING = 20
SECONDS_TO_WORK_OFF = 300


@pytest.fixture(scope="module")
def waiting(deployment: Deployment) -> list[str]:
    """Messages that no worker takes, at a primary that is not the first node."""
    server, app = deployment.first("worker"), deployment.app
    server.run("systemctl", "stop", f"{app}-worker@default.service")
    first = deployment.first("redis")
    first.run("systemctl", "restart", redis_unit(deployment))
    wait_for("the first node is a replica", lambda: information(deployment, first).get("role") == "slave")
    return deployment.send_effects("waiting", WAITING, 0)


def test_site_refuses_while_it_has_messages(deployment: Deployment, waiting: list[str]) -> None:
    run = deployment.site(changes=TO_RABBITMQ)
    nodes = ", ".join(server.name for server in deployment.on("redis"))
    assert run.message.startswith(
        f"broker.kind: is rabbitmq, and the redis on {nodes} has this stack's messages (queue celery: {WAITING} "
    ), run.output
    assert run.changed == 0


def test_messages_come_over_and_every_node_is_left(deployment: Deployment, waiting: list[str]) -> None:
    run = deployment.site_by("switch_broker.yml", changes=TO_RABBITMQ)
    assert run.rc == 0, run.output
    assert once(deployment.all_effects(waiting, SECONDS_TO_WORK_OFF))
    left = [f"/etc/systemd/system/{deployment.app}-{name}.service" for name in ("redis", "sentinel")]
    left += [f"/usr/local/lib/{deployment.app}/leave-primary", f"/var/lib/{deployment.app}-redis"]
    for server in deployment.on("redis"):
        assert [path for path in left if server.shell.file(path).exists] == []
    again = deployment.site(changes=TO_RABBITMQ)
    assert again.rc == 0, again.output
