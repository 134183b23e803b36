"""What breaks while tasks run: lost = 0, and each takes effect once.

The faults happen at once, in different pools; the tests then look at each of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from resources.deployment import Deployment
from resources.effects import SECONDS_UNTIL_A_LOST_MESSAGE_IS_BACK, once
from resources.waiting import wait_for

# With Redis: the visibility timeout of the impatient description, its restore interval and a sweep of the outbox.


@dataclass(frozen=True)
class Faults:
    killed: list[str]
    killed_main: str
    frozen_main: str
    frozen: list[str]


def main_process(deployment: Deployment, pool: str) -> str:
    return deployment.first("worker").property(f"{deployment.app}-worker@{pool}.service", "MainPID")


@pytest.fixture(scope="module")
def faults(deployment: Deployment) -> Iterator[Faults]:
    """The main process of one pool is killed with a task in hand, and that of another stops moving."""
    server = deployment.first("worker")
    killed_main, frozen_main = main_process(deployment, "reports"), main_process(deployment, "high")
    assert "0" not in (killed_main, frozen_main)
    # The task has to run still when a busy machine comes to the kill.
    killed = deployment.send_effects("killed", 3, 8, "reports")
    wait_for("a task runs", lambda: deployment.ledger(killed))
    server.run("kill", "-KILL", killed_main)
    server.run("kill", "-STOP", frozen_main)
    frozen = deployment.send_effects("frozen", 3, 0, "high_priority")
    yield Faults(killed, killed_main, frozen_main, frozen)
    server.attempt("kill", "-CONT", frozen_main)


def test_a_restart_waits_for_running_tasks_and_repeats_none(deployment: Deployment, faults: Faults) -> None:
    keys = deployment.send_effects("restarted", 10, 1.5)
    wait_for("two tasks run", lambda: len(deployment.ledger(keys)) >= 2)
    deployment.first("worker").run("systemctl", "restart", f"{deployment.app}-worker@default.service")
    ledger = deployment.all_effects(keys)
    assert {key: (line.starts, line.effects) for key, line in ledger.items()} == dict.fromkeys(keys, (1, 1))


def test_systemd_starts_a_killed_worker_again(deployment: Deployment, faults: Faults) -> None:
    server, unit = deployment.first("worker"), f"{deployment.app}-worker@reports.service"
    wait_for("the worker is back", lambda: main_process(deployment, "reports") not in ("0", faults.killed_main))
    heartbeat = f"/run/{deployment.app}-worker-reports/heartbeat"
    wait_for("it takes tasks", lambda: json.loads(server.attempt("cat", heartbeat).stdout or "{}").get("consuming"))
    assert server.is_active(unit)


def test_a_worker_that_stopped_moving_is_restarted_and_its_queue_is_worked_off(
    deployment: Deployment, faults: Faults
) -> None:
    wait_for(
        "systemd's watchdog restarts the worker",
        lambda: main_process(deployment, "high") not in ("0", faults.frozen_main),
        seconds=150,
    )
    assert once(deployment.all_effects(faults.frozen))


def test_tasks_of_a_killed_worker_take_effect_once(deployment: Deployment, faults: Faults) -> None:
    ledger = deployment.all_effects(faults.killed, SECONDS_UNTIL_A_LOST_MESSAGE_IS_BACK)
    assert once(ledger)
    assert max(line.starts for line in ledger.values()) >= 2, "no task was in hand when the worker was killed"


def test_a_copy_of_a_message_takes_no_second_effect(deployment: Deployment, faults: Faults) -> None:
    before = deployment.all_effects(faults.killed, SECONDS_UNTIL_A_LOST_MESSAGE_IS_BACK)
    deployment.django(
        "from config.celery import app\n"
        "from celery_ops import outbox\n"
        "from celery_ops.models import OutboxMessage\n"
        f"for message in OutboxMessage.objects.filter(args__0__in={faults.killed!r}):\n"
        "    outbox.send(app, message)\n"
    )
    # The pool has one process, which takes one message after the other.
    deployment.all_effects(deployment.send_effects("behind-the-copies", 1, 0, "reports"))
    ledger = deployment.ledger(faults.killed)
    assert all(ledger[key].starts > line.starts for key, line in before.items()), (before, ledger)
    assert once(ledger)
