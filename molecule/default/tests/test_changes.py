"""The description changes: what follows, and what is left alone."""

from __future__ import annotations

import json

from resources.deployment import Deployment
from resources.waiting import wait_for


def test_check_mode_on_a_converged_server_finds_nothing_to_change(deployment: Deployment) -> None:
    run = deployment.converge("--check")
    assert run.changed == 0, run.output


def test_a_pool_does_not_leave_messages_behind(deployment: Deployment) -> None:
    server, unit = deployment.first("worker"), f"{deployment.app}-worker@reports.service"
    server.run("systemctl", "stop", unit)
    try:
        (waiting,) = deployment.send_effects("left-behind", 1, 0, "reports")
        changes = {"pools": {"reports": None}, "app": {"routes": {"shop.tasks.build_report": "celery"}}}
        run = deployment.site(changes=changes)
    finally:
        server.run("systemctl", "start", unit)
    assert (run.rc, run.changed) == (2, 0), run.output
    assert "queue reports: 1 message waits and no pool would consume it; keep a pool for it" in run.output
    assert deployment.all_effects([waiting])[waiting].effects == 1


def test_another_concurrency_restarts_that_pool_alone(deployment: Deployment) -> None:
    server, unit = deployment.first("worker"), f"{deployment.app}-worker@high.service"
    before = server.invocations("*.service")
    # The app's environment has this variable too, with another value.
    deployment.converge(changes={"pools": {"high": {"concurrency": 3, "env": {"PYTHONUNBUFFERED": "of the pool"}}}})
    after = server.invocations("*.service")
    touched = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert {name for name in touched if name.startswith((deployment.app, "nginx", "postgresql"))} == {unit}
    heartbeat = wait_for(
        "the pool shows a heartbeat",
        lambda: server.attempt("cat", f"/run/{deployment.app}-worker-high/heartbeat").stdout,
    )
    assert json.loads(heartbeat)["concurrency"] == 3
    environment = server.run("cat", f"/proc/{server.property(unit, 'MainPID')}/environ").split("\0")
    assert "PYTHONUNBUFFERED=of the pool" in environment


def test_a_removed_pool_ends_its_task_and_leaves_nothing_behind_while_a_new_one_takes_over(
    deployment: Deployment,
) -> None:
    app, server = deployment.app, deployment.first("worker")
    (running,) = deployment.send_effects("in-a-removed-pool", 1, 8, "reports")
    wait_for("the task runs", lambda: running in deployment.ledger([running]))
    archive = {"queues": ["reports"], "time_limit": 20, "soft_time_limit": 15}
    deployment.converge(changes={"pools": {"reports": None, "archive": archive}})

    line = deployment.ledger([running])[running]
    assert (line.starts, line.effects, line.worker.partition("@")[0]) == (1, 1, "reports")
    assert server.units("--all", f"{app}-*reports*") == []
    left = server.run("find", "/etc/systemd", f"/etc/{app}", "/run/systemd/system", "-name", "*reports*")
    assert left == ""
    assert not server.shell.file(f"/run/{app}-worker-reports").exists

    (later,) = deployment.send_effects("after-a-removed-pool", 1, 0, "reports")
    assert deployment.all_effects([later])[later].worker.partition("@")[0] == "archive"


def test_the_old_description_brings_the_old_pools_back(deployment: Deployment) -> None:
    app, server = deployment.app, deployment.first("worker")
    deployment.converge()
    units = server.units("--state=active", f"{app}-worker@*.service")
    assert sorted(units) == sorted(f"{app}-worker@{pool}.service" for pool in deployment.pools())
