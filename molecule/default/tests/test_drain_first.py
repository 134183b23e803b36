"""What was sent before a deploy is done by the release that sent it, or the deploy says why not."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from resources.deployment import Deployment, Run, Server
from resources.effects import once
from resources.releases import ENDS_AT_ONCE, current_on, release_of, run_by
from resources.waiting import wait_for

REPORTS = "shop-worker@reports.service"
SENDERS = ("shop-beat.service", "shop-web.service", "shop-web.socket")
SECONDS_TO_BUILD = 300
REMEDY = "let deploy end it first, by -e stalk_drain_first=true"
MISFIT = {
    "redis": f"2 wait that the new release cannot run (missing a required argument: 'place'); {REMEDY}",
    "rabbitmq": "what waits of it at the broker may not fit the new release "
    f"('place' is required; RabbitMQ shows no message without giving it out); {REMEDY}",
}
BEFORE, AFTER = "def sleep(seconds: float)", "def sleep(seconds: float, place: str)"
VERSION = "drained"


@pytest.fixture
def server(deployment: Deployment) -> Server:
    return deployment.first("worker")


@pytest.fixture
def release(deployment: Deployment, tmp_path: Path) -> dict[str, Any]:
    """In which the task `sleep` takes another argument."""
    return release_with(deployment, tmp_path, BEFORE, AFTER)


def release_with(deployment: Deployment, folder: Path, before: str, after: str) -> dict[str, Any]:
    made = release_of(deployment, folder, VERSION, "")
    tasks = Path(made["app"]["servers"]["source"]) / "shop/tasks.py"
    text = tasks.read_text()
    assert before in text
    tasks.write_text(text.replace(before, after))
    return made


def send_sleep(deployment: Deployment, count: int, seconds: float, **options: Any) -> list[str]:
    """Plain tasks, of which nothing but their message tells; their ids."""
    return deployment.django(
        "import config.celery\nfrom shop.tasks import sleep\n"
        f"for _ in range({count}):\n    print(sleep.apply_async(({seconds},), **{options!r}).id)\n"
    ).split()


def states(deployment: Deployment, ids: list[str]) -> set[str]:
    answer = deployment.django(
        "import json\nfrom config.celery import app\n"
        f"print(json.dumps([app.AsyncResult(each).state for each in {ids!r}]))\n"
    )
    return set(json.loads(answer.splitlines()[-1]))


def deploy(deployment: Deployment, release: dict[str, Any], *arguments: str, **variables: Any) -> Run:
    return deployment.site_by("deploy.yml", *arguments, changes=release, **variables)


def begin(deployment: Deployment, release: dict[str, Any]) -> subprocess.Popen[str]:
    return deployment.begin("deploy.yml", **deployment.changed(release), stalk_drain_first=True)


def said(run: Run) -> str:
    """Without the ends of lines, where warnings are folded."""
    return " ".join(run.output.split())


@pytest.fixture
def standing_pool(server: Server) -> Iterator[str]:
    """A queue whose pool stands, until the test starts it or ends."""
    server.run("systemctl", "stop", REPORTS)
    yield "reports"
    server.run("systemctl", "start", REPORTS)


def test_a_drain_that_takes_too_long_names_what_is_left_and_those_who_send_go_on(
    deployment: Deployment, server: Server, release: dict[str, Any], standing_pool: str
) -> None:
    before, workers = current_on(deployment, server), server.invocations("shop-worker@*")
    ids = send_sleep(deployment, 2, 0, queue=standing_pool)
    keys = deployment.send_effects("waiting", 1, 0, standing_pool)
    run = deploy(deployment, release, stalk_drain_first=True, stalk_seconds=1)
    assert run.rc != 0, run.output
    assert run.message.startswith("stalk_drain_first: after 1 s the release before still has this to do:\n")
    # More of them where the build took so long that the sweep sent the row's message again.
    assert re.search(r"^queue reports: \d messages wait$", run.message, re.MULTILINE)
    assert "outbox: 1 of shop.tasks.record_effect is open" in run.message.splitlines()
    assert "Web and beat go on; no process has the new release." in run.message
    assert all(server.is_active(unit) for unit in SENDERS)
    assert current_on(deployment, server) == before
    assert server.invocations("shop-worker@*") == workers

    # The release is there now, so a dry run can hold against it what waits.
    dry = deploy(deployment, release, "--check")
    assert dry.rc == 0, dry.output
    assert f"shop.tasks.sleep: {MISFIT[deployment.broker]}" in said(dry)
    assert "shop.tasks.record_effect:" not in said(dry)
    server.run("systemctl", "start", REPORTS)
    assert once(deployment.all_effects(keys))
    wait_for("the release that sent them ran them", lambda: states(deployment, ids) == {"SUCCESS"})


def test_what_waits_is_done_by_the_release_that_sent_it(
    deployment: Deployment, server: Server, release: dict[str, Any], standing_pool: str
) -> None:
    before = current_on(deployment, server)
    ids = send_sleep(deployment, 3, 1, queue=standing_pool) + send_sleep(deployment, 1, 0, countdown=20)
    keys = deployment.send_effects("drained", 3, 0, standing_pool)
    run = begin(deployment, release)
    wait_for("those who send stand", lambda: not any(server.is_active(unit) for unit in SENDERS), SECONDS_TO_BUILD)
    assert current_on(deployment, server) == before
    server.run("systemctl", "start", REPORTS)
    output = run.communicate()[0]
    assert run.returncode == 0, output
    assert current_on(deployment, server) == VERSION
    assert once(deployment.ledger(keys)), "all of it ended before"
    assert states(deployment, ids) == {"SUCCESS"}
    assert all(server.is_active(unit) for unit in SENDERS)

    back = deployment.play("rollback.yml")
    assert back.rc == 0, back.output
    assert current_on(deployment, server) == before
    assert all(server.is_active(unit) for unit in SENDERS)


@pytest.mark.parametrize(
    ("playbook", "arguments", "variables", "said"),
    [
        ("site.yml", (), {"stalk_drain_first": True}, "stalk_drain_first: is for playbooks/deploy.yml"),
        ("rollback.yml", (), {"stalk_drain_first": True}, "stalk_drain_first: is for playbooks/deploy.yml"),
        ("deploy.yml", (), {"stalk_drain_first": "ture"}, "stalk_drain_first: ture is neither true nor false"),
        ("deploy.yml", ("--tags", "app"), {"stalk_drain_first": True}, "--tags: a drain stops web and beat"),
    ],
)
def test_a_drain_that_would_be_half_of_one_is_refused(
    deployment: Deployment, playbook: str, arguments: tuple[str, ...], variables: dict[str, Any], said: str
) -> None:
    run = deployment.play(playbook, *arguments, **variables)
    assert run.rc != 0, run.output
    assert run.message.startswith(said)
    assert run.message.endswith("Nothing was changed.")
    assert run.changed == 0


@pytest.mark.long
def test_what_starts_later_than_a_drain_may_take_is_named_before_anything_stops(
    deployment: Deployment, server: Server, release: dict[str, Any]
) -> None:
    before, running = current_on(deployment, server), server.invocations("shop-*.service")
    ids = send_sleep(deployment, 2, 0, countdown=240)
    keys = deployment.send_effects("later", 1, 0, countdown=240)
    run = deploy(deployment, release, stalk_drain_first=True, stalk_seconds=5)
    assert run.rc != 0, run.output
    assert run.message.startswith("stalk_drain_first: this starts later than the 5 s that a drain may take:\n")
    assert "shop.tasks.record_effect: 1 waits for later, the last until 20" in run.message
    assert "shop.tasks.sleep: 2 wait for later, the last until 20" in run.message
    assert current_on(deployment, server) == before
    assert server.invocations("shop-*.service") == running
    assert once(deployment.all_effects(keys, 300))
    wait_for("the release that sent them ran them", lambda: states(deployment, ids) == {"SUCCESS"})


@pytest.mark.long
def test_after_a_drain_that_was_killed_a_plain_deploy_starts_those_who_send(
    deployment: Deployment, server: Server, release: dict[str, Any], standing_pool: str
) -> None:
    before = current_on(deployment, server)
    ids = send_sleep(deployment, 1, 0, queue=standing_pool)
    run = begin(deployment, release)
    wait_for("those who send stand", lambda: not any(server.is_active(unit) for unit in SENDERS), SECONDS_TO_BUILD)
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    assert current_on(deployment, server) == before

    assert deployment.play("deploy.yml").rc == 0
    assert all(server.is_active(unit) for unit in SENDERS)
    wait_for("the release that sent it ran it", lambda: states(deployment, ids) == {"SUCCESS"})
    assert deployment.play("deploy.yml", stalk_drain_first=True).changed == 0, (
        "nothing new comes, so nothing is drained"
    )


@pytest.mark.long
def test_where_the_new_release_does_not_come_up_after_a_drain_those_who_send_go_on_with_the_one_before(
    deployment: Deployment, server: Server, tmp_path: Path
) -> None:
    before = current_on(deployment, server)
    run = deploy(deployment, release_of(deployment, tmp_path, "ends-at-once", ENDS_AT_ONCE), stalk_drain_first=True)
    assert run.rc != 0, run.output
    assert f"{server} is back at the release {before}." in run.output
    assert {run_by(deployment, server, unit) for unit in SENDERS if unit.endswith(".service")} == {before}
    assert once(deployment.all_effects(deployment.send_effects("after", 3, 0)))


@pytest.mark.long
def test_what_is_due_after_a_deploy_and_a_rollback_runs_then(
    deployment: Deployment, server: Server, tmp_path: Path
) -> None:
    """Redis hides it for less, so that copies of it come; with an app.longest_eta that is true none would."""
    keys = deployment.send_effects("due", 4, 0, countdown=240)
    assert deploy(deployment, release_of(deployment, tmp_path, "between", "\n# A comment.\n")).rc == 0
    assert deployment.play("rollback.yml").rc == 0
    assert once(deployment.all_effects(keys, 300))
