"""Components on hosts of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from resources.deployment import Deployment, Server
from resources.waiting import wait_for


def heartbeat_of_beat(deployment: Deployment, server: Server) -> dict[str, Any]:
    beat: dict[str, Any] = json.loads(server.attempt("cat", f"/run/{deployment.app}-beat/heartbeat").stdout or "{}")
    return beat


def active_beats(deployment: Deployment) -> list[str]:
    return [server.name for server in deployment.on("beat") if heartbeat_of_beat(deployment, server).get("active")]


def test_of_two_beats_one_is_active_and_the_other_stands_by(deployment: Deployment) -> None:
    assert len(deployment.on("beat")) == 2
    wait_for("one beat is active", lambda: len(active_beats(deployment)) == 1)
    (holder,) = active_beats(deployment)
    assert deployment.sql("SELECT holder FROM celery_ops_beatlease") == [[holder]]
    for server in deployment.on("beat"):
        assert heartbeat_of_beat(deployment, server)["holder"] == holder
        assert server.is_active(f"{deployment.app}-beat.service")


def test_the_second_beat_takes_over_when_the_first_is_stopped(deployment: Deployment) -> None:
    unit = f"{deployment.app}-beat.service"
    (first,) = wait_for("one beat is active", lambda: active_beats(deployment))
    (second,) = {server.name for server in deployment.on("beat")} - {first}
    deployment.servers[first].run("systemctl", "stop", unit)
    wait_for("the second beat is active", lambda: active_beats(deployment) == [second])
    deployment.servers[first].run("systemctl", "start", unit)
    wait_for("the first beat stands by", lambda: heartbeat_of_beat(deployment, deployment.servers[first]))
    assert active_beats(deployment) == [second]


def test_the_second_beat_takes_over_when_the_first_is_killed(deployment: Deployment) -> None:
    unit = f"{deployment.app}-beat.service"
    (first,) = wait_for("one beat is active", lambda: active_beats(deployment))
    (second,) = {server.name for server in deployment.on("beat")} - {first}
    # Frozen, it can neither release its lease nor renew it.
    deployment.servers[first].run("systemctl", "kill", "--signal=SIGSTOP", unit)
    wait_for(
        "the second beat holds the lease",
        lambda: deployment.sql("SELECT holder FROM celery_ops_beatlease") == [[second]],
    )
    deployment.servers[first].run("systemctl", "kill", "--signal=SIGCONT", unit)
    wait_for("the first beat stands by", lambda: active_beats(deployment) == [second])


def test_a_pool_with_hosts_of_its_own_runs_nowhere_else(deployment: Deployment) -> None:
    unit = f"{deployment.app}-worker@reports.service"
    assert [server.name for server in deployment.on("worker") if unit in server.units(unit)] == ["worker2"]


def test_hosts_have_the_keys_of_their_own_components_alone(deployment: Deployment) -> None:
    keys = {
        name: set(server.run("ls", f"/etc/{deployment.app}/pki").split()) - {"ca.crt"}
        for name, server in deployment.servers.items()
    }
    components = {name: {file.partition(".")[0] for file in files} for name, files in keys.items()}
    assert components["worker2"] == {"worker"}
    assert components["worker1"] == {"worker", "beat"}
    assert not components["data1"] & {"web", "worker", "beat", "flower"}
    assert not components["app1"] & {"redis", "postgresql", "worker"}


def test_a_reboot_of_the_data_host_loses_no_order(deployment: Deployment) -> None:
    shop, data = deployment.shop(), deployment.first("redis")
    batch = shop.place_orders(60)
    data.restart()

    def finished() -> bool:
        answer = shop.session.get(f"{shop.root}/orders.json", params={"batch": batch}, timeout=60)
        return answer.ok and not answer.json()["moving"]

    # A step that met the outage comes again after its lease and a sweep, or after at most `longest_eta`, 300 s.
    try:
        wait_for("60 orders are through", finished, seconds=900)
    except AssertionError as error:
        open_rows = (
            "SELECT task, queue, now() - created_at, sent_at, started_at, leased_until, suspected_at, next_send_at"
        )
        rows = deployment.sql(f"{open_rows} FROM celery_ops_outboxmessage WHERE acknowledged_at IS NULL")
        raise AssertionError(f"{error}; open in the outbox: {rows}") from None
    assert shop.progress(batch)["notified"] == 60


@pytest.fixture
def unreachable(deployment: Deployment) -> Iterator[Server]:
    server = deployment.servers["worker2"]
    server.run("systemctl", "stop", "ssh.service", "ssh.socket")
    yield server
    server.run("systemctl", "start", "ssh.service")


def test_a_host_that_cannot_be_reached_is_named_before_anything_changes_and_everything_goes_on(
    deployment: Deployment, unreachable: Server
) -> None:
    pattern = f"{deployment.app}-*.service"
    before = {name: server.invocations(pattern) for name, server in deployment.servers.items()}
    run = deployment.site(changes={"pools": {"default": {"concurrency": 3}}})
    assert (run.rc, run.changed) == (2, 0), run.output
    assert "Traceback" not in run.output
    assert f"[{unreachable.name}]: UNREACHABLE!" in run.output, run.output
    assert f"{unreachable.name}: cannot be reached" in run.message
    assert f"--limit 'all:!{unreachable.name}'" in run.message
    assert {name: server.invocations(pattern) for name, server in deployment.servers.items()} == before
    shop = deployment.shop()
    assert shop.session.get(f"{shop.root}/readyz", timeout=30).status_code == 200


def test_a_host_that_cannot_be_reached_may_be_left_out(deployment: Deployment, unreachable: Server) -> None:
    deployment.converge("--limit", f"all:!{unreachable.name}")
