"""A new release goes from host to host, and back, while tasks flow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from resources.deployment import Deployment, Run, Server
from resources.load import flow
from resources.releases import AS_BEAT, ENDS_AT_ONCE, current_on, release_of

POOL = "shop-worker@default.service"
Change = Callable[[str, str], dict[str, Any]]


@pytest.fixture
def release(deployment: Deployment, tmp_path: Path) -> Change:
    """The description of a release of this version, whose config/celery.py ends with these lines."""

    def release(version: str, lines: str) -> dict[str, Any]:
        return release_of(deployment, tmp_path, version, lines)

    return release


@pytest.fixture
def before(deployment: Deployment) -> dict[str, str]:
    return current(deployment)


def app_hosts(deployment: Deployment) -> list[Server]:
    return [deployment.servers[name] for name in ("app1", "worker1", "worker2")]


def current(deployment: Deployment) -> dict[str, str]:
    """Host to the release that is current there."""
    return {server.name: current_on(deployment, server) for server in app_hosts(deployment)}


def assert_nothing_to_go_back_to(deployment: Deployment) -> None:
    for server in app_hosts(deployment):
        assert server.attempt("test", "-e", f"/etc/{deployment.app}/before").returncode != 0, server


def times(server: Server) -> str:
    folders = ("/etc/shop", "/etc/systemd/system", "/srv/shop")
    return server.run("find", *folders, "-maxdepth", "3", "-printf", "%p %C@\\n")


def moments(server: Server) -> tuple[int, int]:
    """When the pool's process before had ended, and when this one's began, by the one clock of all servers."""
    ended, began = (
        int(server.property(POOL, f"{name}TimestampMonotonic")) for name in ("InactiveEnter", "ActiveEnter")
    )
    return ended, began


def test_a_release_that_does_not_come_up_ends_at_the_first_host_which_goes_back(
    deployment: Deployment, release: Change, before: dict[str, str]
) -> None:
    """With the environment and the pools that the description has for it."""
    first = deployment.servers["worker1"]
    untouched = {name: deployment.servers[name].invocations("shop-*.service") for name in ("app1", "worker2")}
    high = first.invocations("shop-worker@high.service")
    files = first.run("cat", f"/etc/{deployment.app}/worker.env", f"/etc/systemd/system/{POOL}.d/pool.conf")
    with flow(deployment):
        changes = release("ends-at-once", ENDS_AT_ONCE)
        changes["app"]["env"] = {"FOR_THE_NEW": "release"}
        run = deployment.site_by("deploy.yml", changes={**changes, "pools": {"default": {"concurrency": 3}}})
    assert run.rc != 0, run.output
    assert "Traceback" not in run.output
    assert "this release ends at once" in run.output
    assert f"worker1 is back at the release {before['worker1']}." in run.output
    assert current(deployment) == before
    assert {name: deployment.servers[name].invocations("shop-*.service") for name in untouched} == untouched
    assert first.run("cat", f"/etc/{deployment.app}/worker.env", f"/etc/systemd/system/{POOL}.d/pool.conf") == files
    assert first.is_active(POOL)
    # A pool whose turn had not come goes on as it is.
    assert first.invocations("shop-worker@high.service") == high
    assert_nothing_to_go_back_to(deployment)


@pytest.mark.long
def test_a_release_whose_beat_does_not_come_up_stays_with_the_workers_until_a_rollback(
    deployment: Deployment, release: Change, before: dict[str, str]
) -> None:
    """What knows more tasks than anyone sends does no harm."""
    with flow(deployment):
        run = deployment.site_by("deploy.yml", changes=release("without-beat", AS_BEAT))
        assert run.rc != 0, run.output
        assert "this release ends at once" in run.output
        assert f"app1 is back at the release {before['app1']}." in run.output
        assert current(deployment) == {**before, "worker1": "without-beat", "worker2": "without-beat"}
        assert deployment.servers["app1"].is_active("shop-beat.service")
        back = deployment.play("rollback.yml")
        assert back.rc == 0, back.output
        assert current(deployment) == before
    assert_nothing_to_go_back_to(deployment)


def test_a_dry_run_of_a_release_changes_nothing(
    deployment: Deployment, release: Change, before: dict[str, str]
) -> None:
    files = {server: times(server) for server in app_hosts(deployment)}
    run = deployment.site_by("deploy.yml", "--check", changes=release("dry", "\n"))
    assert run.rc == 0, run.output
    assert {server: times(server) for server in files} == files
    assert current(deployment) == before


def rolled(run: Run, deployment: Deployment, versions: dict[str, str]) -> None:
    assert run.rc == 0, run.output
    assert current(deployment) == versions
    assert_nothing_to_go_back_to(deployment)
    first, second = (moments(deployment.servers[name]) for name in ("worker1", "worker2"))
    assert first[1] < second[0], "the second host's pool ended before the first one's had begun"


def test_a_release_goes_from_host_to_host_and_back(
    deployment: Deployment, release: Change, before: dict[str, str]
) -> None:
    new = release("new", "\n# A comment.\n")
    with flow(deployment):
        rolled(deployment.site_by("deploy.yml", changes=new), deployment, dict.fromkeys(before, "new"))
        assert deployment.site_by("deploy.yml", changes=new).changed == 0
        rolled(deployment.play("rollback.yml"), deployment, before)
    # What was left is not to come back.
    refused = deployment.play("rollback.yml")
    assert refused.rc != 0, refused.output
    assert "a release before the current one is not among what came up" in refused.message


def test_a_rollback_to_what_is_not_there_is_refused(deployment: Deployment, before: dict[str, str]) -> None:
    run = deployment.play("rollback.yml", stalk_version="never")
    assert run.rc != 0, run.output
    assert run.message.startswith(
        "stalk_version: never is not among what came up on app1, worker1, worker2; choose one "
    )
    assert current(deployment) == before
