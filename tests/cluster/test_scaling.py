"""KEDA scales a pool by its queues and its work in progress: from none, out, in, and no task is lost on the way."""

from __future__ import annotations

import pytest
from resources.effects import once
from resources.waiting import wait_for

from tests.cluster.desk import Desk
from tests.cluster.ledger import ended_where_they_began, holders
from tests.cluster.release import BRIEF, Release, name_of

MOST = 3
SCALED = {"concurrency": 1, "scale": {"min": 0, "max": MOST, "queue_length": 2}}
SECONDS_TO_SCALE = 180


@pytest.fixture(scope="module")
def release(empty_release: Release) -> Release:
    empty_release.files += (BRIEF,)
    empty_release.install({"pools": {"default": SCALED}})
    # It outlasts two looks of KEDA's: one may fall between the taking of a message and its record.
    empty_release.shorten_lull(cooldownPeriod=12)
    return empty_release


def workers(release: Release) -> set[str]:
    return {name_of(pod) for pod in release.pods("worker", "default")}


@pytest.fixture
def none(release: Release) -> None:
    wait_for("no worker is left", lambda: not workers(release), SECONDS_TO_SCALE)


@pytest.mark.usefixtures("none")
@pytest.mark.parametrize("queue", ["celery", "reports"])
def test_one_message_in_any_queue_of_the_pool_brings_a_worker(release: Release, desk: Desk, queue: str) -> None:
    # Stalk's settings have one list for all priorities, so this message is in the one that is counted.
    keys = desk.send("first", 1, 0, queue, priority=9)
    assert once(release.all_effects(keys, SECONDS_TO_SCALE))


@pytest.mark.usefixtures("none")
def test_a_task_that_runs_keeps_a_worker_although_nothing_is_queued(release: Release, desk: Desk) -> None:
    keys = desk.send("running", 1, 30)
    wait_for("it runs", lambda: holders(release, keys), SECONDS_TO_SCALE)
    while holders(release, keys):
        # The second look is at the task, which may have ended between the two.
        assert workers(release) or not holders(release, keys)
    assert once(release.all_effects(keys))


@pytest.mark.usefixtures("none")
def test_a_burst_brings_more_workers_and_none_leaves_its_task(release: Release, desk: Desk) -> None:
    # Longer than an autoscaler looks away, and so many that more than four are left when the last worker has started:
    # four are work for two.
    burst = desk.send("burst", 4 * MOST, 40)
    wait_for("as many workers as may be, each with a task", lambda: on_all_workers(release, burst), SECONDS_TO_SCALE)
    began = wait_for("one is asked to end that has a task", lambda: with_one_leaving(release, burst), SECONDS_TO_SCALE)
    ledger = release.all_effects(burst, SECONDS_TO_SCALE)
    assert once(ledger)
    assert ended_where_they_began(ledger, began)


def on_all_workers(release: Release, keys: list[str]) -> dict[str, str]:
    running = holders(release, keys)
    return running if len(set(running.values())) == MOST else {}


def with_one_leaving(release: Release, keys: list[str]) -> dict[str, str]:
    """What runs, once one who works on it was asked to end before."""
    leaving = {name_of(pod) for pod in release.leaving_pods("worker", "default")}
    running = holders(release, keys)
    return running if leaving & set(running.values()) else {}
