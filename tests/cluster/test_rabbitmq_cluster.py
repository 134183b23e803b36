"""The chart with three nodes of RabbitMQ, which end one by one while tasks go on."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from cluster import ClusterFailed
from resources.certificates import Authority
from resources.effects import once
from resources.waiting import wait_for
from storefront import watch

from tests.cluster.desk import Desk, pod_like_a_worker
from tests.cluster.greeting import NOBODY, answer_of, authority_of, is_refused
from tests.cluster.greeting import PORTS as NUMBERS
from tests.cluster.ledger import until_all_run
from tests.cluster.rabbitmq import listed, rabbitmqctl
from tests.cluster.release import BRIEF, Release, is_ready

NODES = 3
ORDERS = 10
MOST = 3
SECONDS_AHEAD = 5
SECONDS_LONG_AHEAD = 7200
SECONDS_UNTIL_ALL_IS_WELL = 600
BROKER: dict[str, Any] = {
    "kind": "rabbitmq",
    "topology": "cluster",
    "maxmemory": "256mb",
    "disk_free_limit": "256mb",
    "kubernetes": {"resources": {"requests": {"cpu": "300m", "memory": "160Mi"}}},
}
SCALED = {"concurrency": 1, "scale": {"min": 1, "max": MOST, "queue_length": 2}}
VALUES: dict[str, Any] = {"broker": BROKER, "pools": {"default": SCALED}}
ALONE: dict[str, Any] = {**VALUES, "broker": {**BROKER, "topology": "single"}}
QUEUES = ["celery", "high_priority", "reports", "webhooks"]
PODS = [f"shop-rabbitmq-node-{node}" for node in range(NODES)]
ALLOWED = {"rabbitmq": "worker", "https": "queues", "distribution": "rabbitmq"}


@pytest.fixture(scope="module")
def release(empty_release: Release) -> Release:
    empty_release.files += (BRIEF,)
    empty_release.install(VALUES)
    empty_release.shorten_lull()
    until_whole(empty_release)
    return empty_release


def queues(release: Release, pod: str = PODS[0]) -> dict[str, dict[str, Any]]:
    """Quorum queues, as the node in a pod tells of them."""
    columns = ("name", "type", "members", "leader")
    said = rabbitmqctl(release, "list_queues", "--vhost", "shop", *columns, "--formatter=json", pod=pod)
    return {queue["name"]: queue for queue in json.loads(said) if queue["type"] == "quorum"}


def members(release: Release, pod: str = PODS[0]) -> dict[str, int]:
    """On how many nodes each of them is."""
    return {name: len(queue["members"]) for name, queue in queues(release, pod).items()}


def leader(release: Release, queue: str) -> str:
    """The pod of the node that leads a queue."""
    found = queues(release)[queue]["leader"]
    (pod,) = [pod for pod in PODS if f"@{pod}." in found]
    return pod


def is_whole(release: Release) -> bool:
    """Whether every node is there, and every queue on every node."""
    pods = release.pods("rabbitmq")
    if len(pods) < NODES or not all(map(is_ready, pods)):
        return False
    return set(members(release).values()) == {NODES}


def until_whole(release: Release) -> None:
    wait_for("every queue is on every node", lambda: is_whole(release), SECONDS_UNTIL_ALL_IS_WELL)


@pytest.mark.long
def test_orders_that_are_placed_over_https_are_shipped(release: Release) -> None:
    with release.shop() as shop:
        assert watch(shop, shop.place_orders(ORDERS))["shipped"] == ORDERS


@pytest.mark.long
def test_nodes_are_one_cluster_with_every_queue_on_each(release: Release) -> None:
    for pod in PODS:
        found = members(release, pod)
        assert {"celery", "webhooks", "@dead.default", "celery_delayed_0"} <= found.keys()
        assert set(found.values()) == {NODES}


@pytest.mark.long
def test_each_component_has_a_user_and_guest_is_none(release: Release) -> None:
    assert {line[0] for line in listed(release, "list_users", pod=PODS[0])} == {
        "beat",
        "queues",
        "scaler",
        "web",
        "worker",
    }


@contextmanager
def greeter(release: Release, port: str) -> Iterator[str]:
    """A pod that the network policies let to a port, for as long as it takes: a budget counts it as a node too."""
    worker = pod_like_a_worker(release.get("deployment", "shop-worker-default"))
    labels = {**worker["metadata"]["labels"], "app.kubernetes.io/component": ALLOWED[port]}
    name = f"greeter-{port}"
    release.apply(json.dumps({**worker, "metadata": {"name": name, "labels": labels}}))
    try:
        release.wait(f"pod/{name}", "condition=Ready")
        yield name
    finally:
        release.kubectl("delete", "pod", name, "--grace-period=0", "--force")


def test_every_port_lets_a_certificate_of_the_stack_in_and_no_other_and_no_plain_text(release: Release) -> None:
    leaf = authority_of(release).leaf("worker")
    for port, replies in {"rabbitmq": ["PLAIN"], "https": ["401"], "distribution": ["ok"]}.items():
        with greeter(release, port) as pod:
            assert answer_of(release, port, leaf, pod=pod) == {"refused": None, "replies": replies}
            assert is_refused(release, port, NOBODY, pod=pod)
            assert is_refused(release, port, Authority.new("shop CA").leaf("worker"), pod=pod)
            assert is_refused(release, port, None, pod=pod)


@pytest.mark.long
def test_a_task_that_is_sent_for_later_takes_effect_once(release: Release, desk: Desk) -> None:
    keys = desk.send("later", 2, 0, countdown=SECONDS_AHEAD)
    assert once(release.all_effects(keys, SECONDS_UNTIL_ALL_IS_WELL))


@pytest.mark.long
def test_another_topology_is_refused_while_a_message_waits(release: Release, desk: Desk) -> None:
    before = release.uids("rabbitmq")
    desk.send("much-later", 1, 0, countdown=SECONDS_LONG_AHEAD)
    with pytest.raises(ClusterFailed, match=r"broker\.topology: single would begin empty, and leave what cluster has "):
        release.upgrade(ALONE)
    assert release.uids("rabbitmq") == before


@pytest.mark.long
def test_a_new_cookie_reaches_nodes_that_run(release: Release) -> None:
    before = release.uids("rabbitmq")
    new = uuid.uuid4().hex
    value = base64.b64encode(new.encode()).decode()
    change = json.dumps({"data": {"RABBITMQ_ERLANG_COOKIE": value}})
    release.kubectl("patch", "secret", "shop-secrets", "--type=merge", f"--patch={change}")

    def taken() -> set[str]:
        show = ("sh", "-c", 'cat "$HOME/.erlang.cookie"')
        return {release.execute(pod, *show) for pod in PODS}

    wait_for("every node has it", lambda: taken() == {new}, SECONDS_UNTIL_ALL_IS_WELL)
    assert is_whole(release)
    assert release.uids("rabbitmq") == before


def test_tasks_outlive_a_kill_of_the_node_that_leads_their_queue(release: Release, desk: Desk) -> None:
    killed = leader(release, "celery")
    long = [*desk.send("long", 1, 30), *desk.send("long-io", 3, 30, "webhooks")]
    until_all_run(release, long)
    delayed = [key for due in (10, 20, 40) for key in desk.send("delayed", 2, countdown=due)]
    with desk.flow("celery", "webhooks") as keys:
        release.kill_node("rabbitmq", killed)
        release.wait(f"pod/{killed}", "condition=Ready", SECONDS_UNTIL_ALL_IS_WELL)
    assert once(release.all_effects([*long, *delayed, *keys], SECONDS_UNTIL_ALL_IS_WELL))
    until_whole(release)


@pytest.mark.long
def test_tasks_go_on_while_one_node_after_another_restarts(release: Release, desk: Desk) -> None:
    with desk.flow("celery", "webhooks") as keys:
        release.restart_nodes("rabbitmq", NODES * SECONDS_UNTIL_ALL_IS_WELL)
    assert once(release.all_effects(keys, SECONDS_UNTIL_ALL_IS_WELL))
    until_whole(release)


@pytest.mark.long
def test_no_two_nodes_are_evicted_at_once(release: Release, desk: Desk) -> None:
    with desk.flow("celery", "webhooks") as keys:
        release.evict(PODS[0])
        with pytest.raises(ClusterFailed, match="disruption budget"):
            release.evict(PODS[1])
        wait_for("the node is back", lambda: len(release.pods("rabbitmq")) == NODES, SECONDS_UNTIL_ALL_IS_WELL)
        release.wait(f"pod/{PODS[0]}", "condition=Ready", SECONDS_UNTIL_ALL_IS_WELL)
    assert once(release.all_effects(keys, SECONDS_UNTIL_ALL_IS_WELL))


@pytest.mark.long
def test_a_node_that_lost_its_volume_is_in_every_queue_again(release: Release, desk: Desk) -> None:
    until_whole(release)
    lost = PODS[-1]
    claim = f"data-{lost}"
    volume = release.get("pvc", claim)["spec"]["volumeName"]
    with desk.flow("celery", "webhooks") as keys:
        release.kubectl("delete", "pvc", claim, "--wait=false")
        release.kubectl("delete", "pod", lost)
        wait_for("the node is back", lambda: len(release.pods("rabbitmq")) == NODES, SECONDS_UNTIL_ALL_IS_WELL)
        release.wait(f"pod/{lost}", "condition=Ready", SECONDS_UNTIL_ALL_IS_WELL)
    assert release.get("pvc", claim)["spec"]["volumeName"] != volume
    assert once(release.all_effects(keys, SECONDS_UNTIL_ALL_IS_WELL))
    until_whole(release)
    assert set(members(release, lost).values()) == {NODES}


@pytest.mark.long
def test_a_burst_brings_more_workers_and_a_lull_takes_them_away(release: Release, desk: Desk) -> None:
    def workers() -> int:
        return len(release.pods("worker", "default"))

    burst = desk.send("burst", 3 * MOST, 6)
    wait_for("as many workers as may be", lambda: workers() == MOST, SECONDS_UNTIL_ALL_IS_WELL)
    assert once(release.all_effects(burst, SECONDS_UNTIL_ALL_IS_WELL))
    wait_for("one worker is left", lambda: workers() == 1, SECONDS_UNTIL_ALL_IS_WELL)


def shown(release: Release) -> set[str]:
    """The certificates that nodes show to clients and to each other."""
    show = """
import ssl, sys
for host in sys.argv[2:]:
    print(ssl.get_server_certificate((host, int(sys.argv[1]))).strip(), end="\\0")
"""
    hosts = [f"{pod}.shop-rabbitmq-nodes" for pod in PODS]
    found = []
    for port in ("rabbitmq", "distribution"):
        with greeter(release, port) as pod:
            found.append(release.execute(pod, "python", "-c", show, str(NUMBERS[port]), *hosts))
    return {leaf for said in found for leaf in said.split("\0") if leaf.strip()}


@pytest.mark.long
def test_every_node_takes_a_renewed_leaf_and_keeps_its_connections(release: Release, desk: Desk) -> None:
    before = release.uids("rabbitmq")
    with desk.flow("celery", "webhooks") as keys:
        release.renew_leaves("rabbitmq")
        new = release.leaf("rabbitmq")
        wait_for("every node shows it", lambda: shown(release) == {new.strip()}, SECONDS_UNTIL_ALL_IS_WELL)
    assert once(release.all_effects(keys, SECONDS_UNTIL_ALL_IS_WELL))
    assert release.uids("rabbitmq") == before
    assert rabbitmqctl(release, "eval", "length(rabbit_nodes:list_running()).", pod=PODS[0]).strip() == str(NODES)


@pytest.mark.long
def test_who_leaves_what_the_queues_hold_goes_over_to_a_single_node(release: Release) -> None:
    release.upgrade({**ALONE, "kubernetes": {"abandon": QUEUES}})
    assert set(release.uids("rabbitmq")) == {"shop-rabbitmq-0"}
    with release.shop() as shop:
        assert watch(shop, shop.place_orders(ORDERS))["shipped"] == ORDERS


@pytest.mark.long
def test_a_single_node_becomes_a_cluster_once_it_is_drained(release: Release, desk: Desk) -> None:
    keys = desk.send("held", 1, 40)
    until_all_run(release, keys)
    with pytest.raises(ClusterFailed, match=r"broker\.topology: cluster would begin empty, and leave what single has "):
        release.upgrade(VALUES)
    assert once(release.all_effects(keys, SECONDS_UNTIL_ALL_IS_WELL))
    release.upgrade(VALUES)
    until_whole(release)
    assert set(release.uids("rabbitmq")) == set(PODS)
    assert once(release.all_effects(desk.send("after", 3), SECONDS_UNTIL_ALL_IS_WELL))
