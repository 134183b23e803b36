"""What leaves the description leaves the server, once nothing needs it any more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from resources.deployment import Deployment, Server
from resources.waiting import wait_for

PORT = 5433
PASSWORD = "of-the-other-database"


@pytest.fixture(autouse=True, scope="module")
def _as_before(deployment: Deployment) -> Iterator[None]:
    yield
    deployment.converge()


def traces(deployment: Deployment, server: Server, name: str) -> str:
    folders = (f"/etc/{deployment.app}", "/etc/systemd/system", f"/usr/local/lib/{deployment.app}")
    return server.run("find", *folders, "-name", f"*{name}*")


def test_flower_leaves_neither_a_process_nor_a_key(deployment: Deployment) -> None:
    server = deployment.first("flower")
    assert traces(deployment, server, "flower")
    deployment.converge(changes={"flower": {"enabled": False}})
    assert traces(deployment, server, "flower") == ""
    assert not server.is_active(f"{deployment.app}-flower.service")


@dataclass(frozen=True)
class OtherDatabase:
    url: str
    main: str


@pytest.fixture
def other_database(deployment: Deployment) -> Iterator[OtherDatabase]:
    """A cluster beside the embedded one, run by somebody else."""
    server = deployment.first("postgresql")
    (main,) = server.units("--state=active", "postgresql@*-main.service")
    version = main.removeprefix("postgresql@").partition("-")[0]
    server.run("pg_createcluster", version, "other", f"--port={PORT}", "--start")
    for command in (f"CREATE ROLE shop LOGIN PASSWORD '{PASSWORD}'", "CREATE DATABASE shop OWNER shop"):
        server.run("runuser", "-u", "postgres", "--", "psql", f"--port={PORT}", "--command", command)
    yield OtherDatabase(f"postgresql://shop:{PASSWORD}@localhost:{PORT}/shop?sslmode=require", main)
    server.run("pg_dropcluster", "--stop", version, "other")


@pytest.mark.long
def test_the_embedded_database_stays_until_no_task_needs_it(
    deployment: Deployment, other_database: OtherDatabase
) -> None:
    server = deployment.first("postgresql")
    (running,) = deployment.send_effects("in-the-old-database", 1, 12, "reports")
    wait_for("the task runs", lambda: running in deployment.ledger([running]))
    run = deployment.site(
        changes={"database": {"kind": "external"}}, stalk_secrets={"DATABASE_URL": other_database.url}
    )
    assert run.rc == 0, run.output
    assert not server.is_active(other_database.main)
    assert server.run("find", f"/etc/{deployment.app}", "-name", "*postgresql*") == ""

    server.run("systemctl", "start", other_database.main)
    line = deployment.ledger([running])[running]
    assert (line.starts, line.effects) == (1, 1)
