"""How systemd runs the parts."""

from __future__ import annotations

import re

from resources.deployment import Deployment, Server

MOST_EXPOSED = 2.0


def services(deployment: Deployment, server: Server) -> list[str]:
    """Services of ours, and those of the distribution that run parts of the stack."""
    patterns = [f"{deployment.app}-*.service", "nginx.service", "postgresql@*.service"]
    return [unit for unit in server.units(*patterns) if server.property(unit, "LoadState") == "loaded"]


def test_every_service_is_hardened(deployment: Deployment) -> None:
    exposed = {}
    count = 0
    for server in deployment.servers.values():
        for unit in services(deployment, server):
            report = server.run("systemd-analyze", "security", "--no-pager", unit)
            found = re.search(r"Overall exposure level for \S+: ([\d.]+)", report)
            assert found, report
            count += 1
            if float(found[1]) > MOST_EXPOSED:
                exposed[f"{unit} on {server}"] = float(found[1])
    assert exposed == {}
    assert count >= len(deployment.pools()) + 5


def test_no_unit_failed(deployment: Deployment) -> None:
    failed = {name: server.units("--state=failed") for name, server in deployment.servers.items()}
    assert {name: units for name, units in failed.items() if units} == {}


def test_every_pool_runs_on_each_of_its_hosts(deployment: Deployment) -> None:
    for pool in deployment.pools():
        hosts = deployment.described("pools", pool, "servers", "hosts")
        for server in [deployment.servers[hosts]] if hosts else deployment.on("worker"):
            assert server.is_active(f"{deployment.app}-worker@{pool}.service"), (pool, server)


def test_systemd_watches_each_worker_and_beat(deployment: Deployment) -> None:
    units = [
        (server, unit)
        for server in {*deployment.on("worker"), *deployment.on("beat")}
        for unit in server.units(
            "--state=active", f"{deployment.app}-worker@*.service", f"{deployment.app}-beat.service"
        )
    ]
    assert units
    for server, unit in units:
        assert server.property(unit, "WatchdogUSec") not in {"0", "infinity"}, (unit, server)
        assert server.property(unit, "WatchdogTimestampMonotonic") != "0", (unit, server)
