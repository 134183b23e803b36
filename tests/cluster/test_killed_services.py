"""The broker and the database are killed while tasks run, and come back: no worker restarts, no task is lost. One that
hangs is restarted, and one that no probe reaches when it has ended its tasks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest
from resources.effects import once
from resources.waiting import wait_for

from tests.cluster.desk import Desk
from tests.cluster.ledger import ended_where_they_began, holders, until_all_run
from tests.cluster.redis import ask
from tests.cluster.release import BRIEF, Release, is_ready, name_of

POOLS = ("default", "io")
MAX_AGE = 30
LONGER_THAN_A_HEARTBEAT_LASTS = 2 * MAX_AGE
LONGER_THAN_A_SILENT_WORKER_IS_GIVEN = 30
SECONDS_UNTIL_ALL_IS_WELL = 300


@pytest.fixture(scope="module")
def release(empty_release: Release) -> Release:
    empty_release.files += (BRIEF,)
    aged = {"heartbeat_max_age": MAX_AGE}
    empty_release.install({"pools": {"default": aged, "io": aged}, "beat": aged})
    return empty_release


def workers(release: Release) -> list[dict[str, Any]]:
    return [pod for pool in POOLS for pod in release.pods("worker", pool)]


def starts(release: Release) -> dict[str, int]:
    """How often the container of each worker and of beat was started again."""
    pods = [*workers(release), *release.pods("beat")]
    return {name_of(pod): sum(one["restartCount"] for one in pod["status"]["containerStatuses"]) for pod in pods}


def heartbeat(release: Release, pod: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(release.execute(pod, "cat", "/run/stalk/heartbeat"))
    return found


@contextmanager
def broker_away(release: Release) -> Iterator[None]:
    release.kubectl("scale", "statefulset/shop-redis", "--replicas=0")
    release.kubectl("delete", "pod", "shop-redis-0", "--grace-period=0", "--force")
    try:
        yield
    finally:
        release.kubectl("scale", "statefulset/shop-redis", "--replicas=1")


def beats_on(release: Release, pod: str, until: float) -> bool:
    """Whether its heartbeat is never so old that the liveness probe would fail."""
    seen = [heartbeat(release, pod)["time"]]

    def is_late_enough() -> bool:
        seen.append(heartbeat(release, pod)["time"])
        return bool(seen[-1] > until)

    wait_for(f"{pod} beats on", is_late_enough, SECONDS_UNTIL_ALL_IS_WELL)
    return all(later - earlier < MAX_AGE for earlier, later in pairwise(seen))


def running(release: Release, desk: Desk, seconds: int) -> list[str]:
    """Tasks that run, and some that wait."""
    keys = [*desk.send("running", 2, seconds), *desk.send("running-io", 3, seconds, "webhooks")]
    keys += desk.send("waiting", 5)
    wait_for("some run", lambda: holders(release, keys), SECONDS_UNTIL_ALL_IS_WELL)
    return keys


@pytest.mark.long
def test_workers_outlive_an_outage_of_the_broker(release: Release, desk: Desk) -> None:
    before = starts(release)
    keys = running(release, desk, 20)
    began = {name_of(pod): heartbeat(release, name_of(pod))["time"] for pod in workers(release)}
    with broker_away(release):
        keys += [*desk.send("unsent", 3), *desk.send("unsent-io", 3, 0, "webhooks")]
        for pod, time in began.items():
            assert beats_on(release, pod, time + LONGER_THAN_A_HEARTBEAT_LASTS)
        assert not any(is_ready(pod) for pod in workers(release))
        assert starts(release) == before
    wait_for("they take tasks", lambda: all(is_ready(pod) for pod in workers(release)), SECONDS_UNTIL_ALL_IS_WELL)
    assert once(release.all_effects(keys, SECONDS_UNTIL_ALL_IS_WELL))
    assert starts(release) == before


def test_tasks_outlive_a_kill_of_the_broker(release: Release, desk: Desk) -> None:
    before = starts(release)
    keys = running(release, desk, 20)
    release.kubectl("delete", "pod", "shop-redis-0", "--grace-period=0", "--force")
    keys += [*desk.send("unsent", 3), *desk.send("unsent-io", 3, 0, "webhooks")]
    assert once(release.all_effects(keys, SECONDS_UNTIL_ALL_IS_WELL))
    wait_for("they take tasks", lambda: all(is_ready(pod) for pod in workers(release)), SECONDS_UNTIL_ALL_IS_WELL)
    assert starts(release) == before


def test_nobody_asked_for_more_than_he_may_to_get_well_again(release: Release) -> None:
    assert not ask(release, "ACL", "LOG").strip()


def test_tasks_outlive_a_kill_of_the_database(release: Release, desk: Desk) -> None:
    before = starts(release)
    keys = running(release, desk, 20)
    killed = ready_database(release)
    release.kubectl("delete", "pod", "shop-postgresql-0", "--grace-period=0", "--force")
    wait_for("another is ready", lambda: ready_database(release) not in ("", killed), SECONDS_UNTIL_ALL_IS_WELL)
    keys += desk.send("after", 3)
    assert once(release.all_effects(keys, SECONDS_UNTIL_ALL_IS_WELL))
    assert starts(release) == before


def ready_database(release: Release) -> str:
    return next((pod["metadata"]["uid"] for pod in release.pods("postgresql") if is_ready(pod)), "")


def freeze(release: Release, pod: str) -> None:
    """The main process of its worker, which is the child of the container's first."""
    release.execute(pod, "sh", "-c", "kill -STOP $(cat /proc/1/task/1/children)", container="worker")


@pytest.mark.long
def test_workers_that_hang_are_restarted_and_their_tasks_are_run(release: Release, desk: Desk) -> None:
    before = starts(release)
    keys = running(release, desk, 20)
    frozen = {name_of(pod) for pod in workers(release)}
    for pod in frozen:
        freeze(release, pod)
    keys += [*desk.send("behind", 3), *desk.send("behind-io", 3, 0, "webhooks")]
    after = {pod: count + (pod in frozen) for pod, count in before.items()}
    wait_for("they are restarted", lambda: starts(release) == after, SECONDS_UNTIL_ALL_IS_WELL)
    assert once(release.all_effects(keys, SECONDS_UNTIL_ALL_IS_WELL))
    wait_for("they take tasks", lambda: all(is_ready(pod) for pod in workers(release)), SECONDS_UNTIL_ALL_IS_WELL)
    assert starts(release) == after


def probe_by_a_file(release: Release) -> None:
    """A liveness probe that a test can let fail once, though the worker is well."""
    probe = {"exec": {"command": ["sh", "-c", "! rm /tmp/unreachable"]}, "periodSeconds": 1, "failureThreshold": 1}
    container = {"name": "worker", "livenessProbe": probe}
    patch = json.dumps({"spec": {"template": {"spec": {"containers": [container]}}}})
    release.kubectl("patch", "deployment/shop-worker-default", f"--patch={patch}")
    release.kubectl("rollout", "status", "deployment/shop-worker-default", f"--timeout={SECONDS_UNTIL_ALL_IS_WELL}s")


@pytest.mark.long
def test_a_worker_that_no_probe_reaches_ends_its_tasks_and_is_restarted(release: Release, desk: Desk) -> None:
    probe_by_a_file(release)
    keys = desk.send("unreached", 2, LONGER_THAN_A_SILENT_WORKER_IS_GIVEN)
    began = until_all_run(release, keys)
    before = starts(release)
    for pod in set(began.values()):
        release.execute(pod, "touch", "/tmp/unreachable", container="worker")
    ledger = release.all_effects(keys, SECONDS_UNTIL_ALL_IS_WELL)
    assert {line.starts for line in ledger.values()} == {1}
    assert ended_where_they_began(ledger, began)
    after = {pod: count + (pod in began.values()) for pod, count in before.items()}
    wait_for("it is restarted", lambda: starts(release) == after, SECONDS_UNTIL_ALL_IS_WELL)
