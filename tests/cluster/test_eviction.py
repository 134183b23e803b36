"""Worker pods that are evicted, drained or killed in the middle of a task: none is lost, none takes effect twice."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from cluster import ClusterFailed
from resources.effects import SECONDS_UNTIL_A_LOST_MESSAGE_IS_BACK, once
from resources.waiting import wait_for

from tests.cluster.desk import Desk
from tests.cluster.ledger import ended_where_they_began, until_all_run, workers_of
from tests.cluster.release import BRIEF, Release, is_ready, name_of

# The killed task, when it comes back, keeps a worker from the others for so long, and they run for longer.
SHORT, LONG = 15, 40


@pytest.fixture(scope="module")
def release(empty_release: Release) -> Release:
    # kubectl drain selects pods of all namespaces.
    labels = {"drained-by": empty_release.namespace}
    default = {"concurrency": 1, "kubernetes": {"replicas": 2, "labels": labels}}
    empty_release.files += (BRIEF,)
    empty_release.install({"pools": {"default": default, "io": {"kubernetes": {"labels": labels}}}})
    return empty_release


@dataclass(frozen=True)
class Killed:
    keys: list[str]
    pods: set[str]


@pytest.fixture(scope="module", autouse=True)
def killed(release: Release, desk: Desk) -> Killed:
    """A pod of each pool is killed in the middle of a task. Its message comes back while the tests go on."""
    keys = [*desk.send("killed", 1, SHORT), *desk.send("killed-io", 1, SHORT, "webhooks")]
    pods = set(until_all_run(release, keys).values())
    release.kubectl("delete", "pod", *pods, "--grace-period=0", "--force")
    wait_until_whole(release)
    return Killed(keys, pods)


def workers(release: Release) -> dict[str, bool]:
    """Those that stay, and whether they take tasks."""
    return {name_of(pod): is_ready(pod) for pool in ("default", "io") for pod in release.pods("worker", pool)}


def wait_until_whole(release: Release) -> None:
    wait_for("three workers take tasks", lambda: list(workers(release).values()) == [True] * 3, 180)
    allowed = "jsonpath={.status.disruptionsAllowed}=1"
    release.wait("poddisruptionbudget/shop-worker-default", allowed)


def test_an_evicted_worker_finishes_its_task_and_its_pool_keeps_another(release: Release, desk: Desk) -> None:
    keys = desk.send("evicted", 2, LONG)
    began = until_all_run(release, keys)
    first, second = began.values()
    release.evict(first)
    with pytest.raises(ClusterFailed, match="disruption budget"):
        release.evict(second)
    ledger = release.all_effects(keys, SECONDS_UNTIL_A_LOST_MESSAGE_IS_BACK)
    assert once(ledger)
    assert ended_where_they_began(ledger, began)
    wait_until_whole(release)


@pytest.fixture
def node(release: Release) -> Iterator[str]:
    name = release.pods("worker", "io")[0]["spec"]["nodeName"]
    yield name
    release.kubectl("uncordon", name)


def test_a_drained_node_loses_no_task_and_leaves_each_pool_a_worker(release: Release, desk: Desk, node: str) -> None:
    before = set(workers(release))
    keys = [*desk.send("drained", 2, LONG), *desk.send("drained-io", 3, LONG, "webhooks")]
    began = until_all_run(release, keys)
    selector = f"--pod-selector=drained-by={release.namespace}"
    drain = ("drain", node, selector, "--force", "--delete-emptydir-data", "--ignore-daemonsets", "--timeout=300s")
    with ThreadPoolExecutor(1) as background:
        drained = background.submit(release.kubectl, *drain)
        wait_for("a worker is asked to end", lambda: before - set(workers(release)) or drained.done())
        # The only node takes the pods that come instead, as another would.
        release.kubectl("uncordon", node)
        while not drained.done():
            assert any(pod["status"]["phase"] == "Running" for pod in release.pods("worker", "default"))
        drained.result()
    ledger = release.all_effects(keys, SECONDS_UNTIL_A_LOST_MESSAGE_IS_BACK)
    assert once(ledger)
    assert ended_where_they_began(ledger, began)
    wait_until_whole(release)
    assert not before & set(workers(release))


def test_tasks_of_a_killed_worker_are_sent_again_and_take_effect_once(release: Release, killed: Killed) -> None:
    ledger = release.all_effects(killed.keys, SECONDS_UNTIL_A_LOST_MESSAGE_IS_BACK)
    assert once(ledger)
    assert all(line.starts > 1 for line in ledger.values()), ledger
    assert not workers_of(ledger, killed.keys) & killed.pods
