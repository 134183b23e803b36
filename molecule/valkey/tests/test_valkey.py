"""Valkey in Redis' place, and what a change from one to the other asks for."""

from __future__ import annotations

import pytest
from resources.deployment import Deployment, Server
from resources.effects import once


@pytest.fixture
def server(deployment: Deployment) -> Server:
    return deployment.first("redis")


def broker_process(deployment: Deployment, server: Server) -> tuple[str, str]:
    """The program and the user of the broker's unit."""
    pid = server.property(f"{deployment.app}-redis.service", "MainPID")
    return server.run("cat", f"/proc/{pid}/comm").strip(), server.run("stat", "-c", "%U", f"/proc/{pid}").strip()


def test_the_broker_is_valkey_and_the_only_one(deployment: Deployment, server: Server) -> None:
    assert broker_process(deployment, server) == ("valkey-server", "valkey")
    assert server.run("pgrep", "--count", "--full", "^/usr/bin/(redis|valkey)-server").strip() == "1"
    assert server.property("valkey-server.service", "LoadState") == "masked"


def test_redis_is_refused_while_valkey_has_the_messages(deployment: Deployment, server: Server) -> None:
    before = server.invocations("*.service")
    run = deployment.site(changes={"broker": {"kind": "redis"}})
    assert run.message.startswith(
        f"broker.kind: is redis, and the valkey on {server} has this stack's messages; stop what sends, let its queues "
        "drain, then remove the line `valkey` from "
    )
    assert "\n" not in run.message
    assert server.invocations("*.service") == before


def test_redis_begins_empty_once_valkey_is_drained_and_forgotten(deployment: Deployment, server: Server) -> None:
    memory = deployment.state / f"deployed-{deployment.app}.yml"
    remembered = memory.read_text()
    memory.write_text("".join(line for line in remembered.splitlines(True) if not line.startswith("  valkey:")))
    assert memory.read_text() != remembered
    deployment.converge(changes={"broker": {"kind": "redis"}})
    assert broker_process(deployment, server) == ("redis-server", "redis")
    keys = deployment.send_effects("after-valkey", 5, 0)
    assert once(deployment.all_effects(keys))
