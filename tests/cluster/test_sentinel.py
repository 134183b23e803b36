"""Redis behind Sentinel, on Kubernetes: a primary that is killed, one that leaves, and what is written meanwhile."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from cluster import ClusterFailed
from resources.certificates import Authority
from resources.effects import once
from resources.redis_shortage import shortage_without_loss
from resources.waiting import wait_for
from storefront import watch

from tests.cluster.desk import Desk
from tests.cluster.greeting import NOBODY, answer_of, authority_of
from tests.cluster.ledger import until_all_run
from tests.cluster.redis import ask, little_memory
from tests.cluster.release import BRIEF, Release, is_ready, name_of

NODES = 3
MOST = 3
ORDERS = 5
SECONDS_UNTIL_ALL_IS_WELL = 300
SCALED = {"concurrency": 1, "scale": {"min": 1, "max": MOST, "queue_length": 2}}
VALUES: dict[str, Any] = {"broker": {"topology": "sentinel"}, "pools": {"default": SCALED}}


@pytest.fixture(scope="module")
def release(empty_release: Release) -> Release:
    empty_release.files += (BRIEF,)
    empty_release.install(VALUES)
    empty_release.shorten_lull()
    return empty_release


def ask_sentinel(release: Release, pod: str, question: str) -> str:
    return ask(release, "SENTINEL", question, "shop", pod=pod, container="sentinel")


def primary(release: Release) -> str:
    """The pod that most Sentinels name."""
    named = []
    for pod in release.pods("redis"):
        if is_ready(pod):
            said = ask_sentinel(release, name_of(pod), "GET-MASTER-ADDR-BY-NAME")
            named.append(said.partition(".")[0])
    return max(set(named), key=named.count) if named else ""


def replicas(release: Release) -> int:
    """Those that the primary has."""
    lines = ask(release, "INFO", "replication", pod=primary(release)).splitlines()
    return sum("state=online" in line for line in lines)


def all_are_well(release: Release) -> bool:
    pods = release.pods("redis")
    return len(pods) == NODES and all(map(is_ready, pods)) and replicas(release) == NODES - 1


@pytest.fixture(autouse=True)
def _well(release: Release) -> None:
    wait_for("every node is well", lambda: all_are_well(release), SECONDS_UNTIL_ALL_IS_WELL)


def workers(release: Release) -> set[str]:
    return {name_of(pod) for pod in release.pods("worker", "default")}


def test_orders_that_are_placed_over_https_are_shipped(release: Release) -> None:
    with release.shop() as shop:
        assert watch(shop, shop.place_orders(ORDERS))["shipped"] == ORDERS


@pytest.mark.parametrize("port", [6379, 26379])
def test_a_node_asks_for_a_certificate_and_a_password(release: Release, port: int) -> None:
    node = f"shop-redis-node-0.{release.namespace}.svc"
    answer = answer_of(release, "redis", authority_of(release).leaf("worker"), node, port)
    assert answer == {"refused": None, "replies": ["-NOAUTH Authentication required."]}
    for pair in (NOBODY, Authority.new("shop CA").leaf("worker"), None):
        answer = answer_of(release, "redis", pair, node, port)
        assert answer["refused"]
        assert not answer["replies"]


def test_a_first_primary_that_lost_its_volume_takes_what_the_others_have(release: Release) -> None:
    lost = primary(release)
    said = ask_sentinel(release, lost, "MASTER").splitlines()
    assert said[said.index("config-epoch") + 1] == "0"
    code = "from config.celery import app\nfrom shop.tasks import noop\n"
    kept = release.django(f"{code}result = noop.delay()\nresult.get(timeout=90)\nprint(result.id)").split()[-1]
    release.execute(lost, "sh", "-c", "rm -rf /data/*", container="redis")
    release.kill_node("redis", lost)
    wait_for("every node is well", lambda: all_are_well(release), SECONDS_UNTIL_ALL_IS_WELL)
    assert release.django(f"{code}print(app.AsyncResult('{kept}').state)").split()[-1] == "SUCCESS"


def test_tasks_outlive_a_kill_of_the_primary(release: Release, desk: Desk) -> None:
    killed = primary(release)
    long = [*desk.send("long", 1, 30), *desk.send("long-io", 3, 30, "webhooks")]
    until_all_run(release, long)
    with desk.flow("celery", "webhooks") as keys:
        # Kubernetes may be faster with another pod than the Sentinels with another primary.
        release.kill_node("redis", killed)
        wait_for("every node is well", lambda: all_are_well(release), SECONDS_UNTIL_ALL_IS_WELL)
    assert once(release.all_effects([*long, *keys], SECONDS_UNTIL_ALL_IS_WELL))


@pytest.mark.long
def test_tasks_outlive_a_kill_of_a_replica(release: Release, desk: Desk) -> None:
    followed = primary(release)
    killed = next(pod for pod in release.uids("redis") if pod != followed)
    with desk.flow("celery", "webhooks") as keys:
        release.kill_node("redis", killed)
        wait_for("every node is well", lambda: all_are_well(release), SECONDS_UNTIL_ALL_IS_WELL)
    assert once(release.all_effects(keys, SECONDS_UNTIL_ALL_IS_WELL))
    assert primary(release) == followed


@pytest.mark.long
def test_tasks_go_on_while_one_node_after_another_restarts(release: Release, desk: Desk) -> None:
    with desk.flow("celery", "webhooks") as keys:
        release.restart_nodes("redis", NODES * SECONDS_UNTIL_ALL_IS_WELL)
    assert once(release.all_effects(keys, SECONDS_UNTIL_ALL_IS_WELL))


@pytest.mark.long
def test_publishers_are_told_of_a_primary_without_memory_and_no_task_is_lost(release: Release) -> None:
    short = primary(release)
    statistics = partial(ask, release, "INFO", "stats", pod=short)
    with shortage_without_loss(release, little_memory(release, short), statistics):
        assert primary(release) == short
    assert primary(release) == short


@pytest.mark.long
def test_pools_scale_by_the_new_primary(release: Release, desk: Desk) -> None:
    burst = desk.send("burst", 3 * MOST, 6)
    wait_for("as many workers as may be", lambda: len(workers(release)) == MOST, SECONDS_UNTIL_ALL_IS_WELL)
    assert once(release.all_effects(burst, SECONDS_UNTIL_ALL_IS_WELL))
    wait_for("one worker is left", lambda: len(workers(release)) == 1, SECONDS_UNTIL_ALL_IS_WELL)


def test_a_primary_that_leaves_makes_another_one_the_primary_before(release: Release, desk: Desk) -> None:
    left = primary(release)
    with desk.flow("celery", "webhooks") as keys:
        release.evict(left)
        wait_for("another node is the primary", lambda: primary(release) not in ("", left), SECONDS_UNTIL_ALL_IS_WELL)
        wait_for("every node is well", lambda: all_are_well(release), SECONDS_UNTIL_ALL_IS_WELL)
    assert once(release.all_effects(keys, SECONDS_UNTIL_ALL_IS_WELL))


@pytest.mark.long
def test_a_queue_with_messages_keeps_its_pool_and_the_broker_its_topology(release: Release, desk: Desk) -> None:
    keys = desk.send("held", 1, 40)
    until_all_run(release, keys)
    said = (
        r"broker[.]topology: single would begin empty, and leave what sentinel has to nobody [(]queue celery: a worker "
    )
    with pytest.raises(ClusterFailed, match=said):
        release.upgrade({**VALUES, "broker": {"topology": "single"}})
    assert once(release.all_effects(keys, SECONDS_UNTIL_ALL_IS_WELL))


@pytest.mark.long
def test_renewed_leaves_reach_nodes_and_sentinels_without_a_restart_of_a_pod(release: Release, desk: Desk) -> None:
    before = release.uids("redis")
    with desk.flow("celery", "webhooks") as keys:
        release.renew_leaves("redis")
        new = release.leaf("redis")
        for node in range(NODES):
            for port in (6379, 26379):
                shown = partial(is_shown, release, f"shop-redis-node-{node}", port, new)
                wait_for(f"node {node} shows it on {port}", shown, SECONDS_UNTIL_ALL_IS_WELL)
    assert once(release.all_effects(keys, SECONDS_UNTIL_ALL_IS_WELL))
    assert release.uids("redis") == before


def is_shown(release: Release, node: str, port: int, leaf: str) -> bool:
    # A Sentinel that restarts listens to nobody for a moment.
    show = f"""
import ssl
try:
    print(ssl.get_server_certificate(('{node}', {port})))
except OSError as error:
    print(error)
"""
    return release.execute("deployment/shop-web", "python", "-c", show, container="web").strip() == leaf.strip()


def test_nobody_asked_for_more_than_he_may(release: Release) -> None:
    for pod in release.pods("redis"):
        for container in ("redis", "sentinel"):
            assert not ask(release, "ACL", "LOG", pod=name_of(pod), container=container).strip()
