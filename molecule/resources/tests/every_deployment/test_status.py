"""playbooks/status.yml on a stack that works and on one that does not."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from resources.deployment import Deployment, Run, Server
from resources.waiting import wait_for

WIDEST = 100


def table_of(output: str) -> list[str]:
    lines = output.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("POOL "))
    return lines[start:]


def test_a_stack_that_works_is_told_in_one_table(deployment: Deployment) -> None:
    def healthy() -> Run | None:
        run = deployment.play("status.yml")
        return run if run.rc == 0 else None

    run = wait_for("all is well", healthy)
    table = table_of(run.output)
    assert "All is well." in table
    rows = [line.split() for line in table]
    for pool in deployment.pools():
        assert any(row[:1] == [pool] and row[2] == "running" for row in rows if row)
    for component in ("beat", "broker", "database", "web", "flower"):
        assert any(row[:1] == [component] for row in rows)
    assert any(re.match(r"certificates: \d+d \w+", line) for line in table)
    block = table[: table.index("All is well.")]
    assert max(map(len, block)) <= WIDEST
    assert run.changed == 0


@pytest.fixture
def stopped(deployment: Deployment) -> Iterator[tuple[Server, str]]:
    pool = next(iter(deployment.pools()))
    unit = f"{deployment.app}-worker@{pool}.service"
    server = next(server for server in deployment.on("worker") if server.is_active(unit))
    server.run("systemctl", "stop", unit)
    yield server, pool
    server.run("systemctl", "start", unit)


def test_a_stopped_pool_is_named_with_its_remedy(deployment: Deployment, stopped: tuple[Server, str]) -> None:
    server, pool = stopped
    run = deployment.play("status.yml")
    assert run.rc != 0
    said = " ".join(run.output.split())
    assert f"pool {pool} on {server.name}: is stopped; `systemctl start {deployment.app}-worker@{pool}" in said
    assert "1 problem, listed above" in said
    assert "Traceback" not in run.output
