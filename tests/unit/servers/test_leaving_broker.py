"""What stands against the end of the broker that a stack leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.leaving_broker import (
    LEFT_OUT,
    leaving_brokers,
    leaving_problem,
    lists_of,
    parting_problem,
    port_problem,
    still_has,
    told_by_all,
)
from ansible_collections.stalk.celery.plugins.module_utils.memory import Memory
from ansible_collections.stalk.celery.plugins.modules.component_status import configured_ports

MEMORY = Memory(
    hosts={"redis": ("data2", "data1"), "web": ("data1",)}, pools={"default": ("celery",), "reports": ("reports",)}
)
ALL = ["celery", "reports"]


def test_a_broker_of_another_kind_is_left_where_one_was_deployed() -> None:
    redis = {"redis": {"kind": "redis", "hosts": ["data1", "data2"]}}
    assert leaving_brokers(MEMORY, "rabbitmq") == redis
    valkey = {"redis": {"kind": "valkey", "hosts": ["data1"]}}
    assert leaving_brokers(Memory(hosts={"valkey": ("data1",)}), "rabbitmq") == valkey
    assert leaving_brokers(MEMORY, "redis") == {}
    assert leaving_brokers(MEMORY, "valkey") == {}
    assert leaving_brokers(Memory(hosts={"redis": ()}), "rabbitmq") == {}


def test_whatever_it_has_is_counted() -> None:
    redis = {"queues": {"celery": 2, "celery\x06\x163": 1, "reports": 0, "@dead.io": 1}, "taken": 1}
    assert still_has(redis, MEMORY, []) == (
        ["dead letters of pool io: 1 message waits", "queue celery: 3 messages wait", "workers hold 1 message"],
        {"@dead.io", *ALL},
    )
    rabbitmq = {"queues": {"celery": 0}, "taken": 0, "delayed": 4, "dead": {"reports": 2}}
    assert still_has(rabbitmq, MEMORY, []) == (
        ["dead letters of pool reports: 2 messages wait", "4 messages wait for later"],
        {"@dead.reports", *ALL},
    )


def test_an_empty_one_and_one_that_has_gone_may_leave() -> None:
    assert still_has({"queues": {"celery": 0}, "taken": 0}, MEMORY, []) == ([], set())
    assert still_has({"gone": True, "queues": {}, "taken": 0}, MEMORY, []) == ([], set())


def test_what_is_abandoned_does_not_count() -> None:
    figures = {"queues": {"celery": 2, "reports": 5}, "taken": 1}
    assert still_has(figures, MEMORY, ALL) == ([], set())
    said, queues = still_has(figures, MEMORY, ["reports"])
    assert (said, queues) == (["queue celery: 2 messages wait", "workers hold 1 message"], {"celery"})
    assert still_has({"queues": {"reports": 5}, "taken": 1}, MEMORY, ["reports"], kept=1) == ([], set())


def test_one_that_does_not_answer_stays_unless_all_is_abandoned() -> None:
    said, queues = still_has({"error": "connection refused"}, MEMORY, ["reports"])
    assert said == ["the broker does not tell how many messages wait (connection refused)"]
    assert queues == {"celery"}
    assert still_has({"error": "connection refused"}, MEMORY, ALL) == ([], set())


GONE = {"gone": True, "queues": {}, "taken": 0}
PRIMARY = {"queues": {"celery": 3}, "taken": 0, "role": "primary"}
REPLICA = {"queues": {}, "taken": 0, "role": "replica", "follows": False}
SILENT = {"error": "connection refused"}


@pytest.mark.parametrize(
    ("one", "two", "judged"),
    [
        (GONE, PRIMARY, PRIMARY),
        (REPLICA, PRIMARY, PRIMARY),
        (SILENT, PRIMARY, PRIMARY),
        (GONE, GONE, GONE),
        (REPLICA, SILENT, SILENT),
        (GONE, REPLICA, {"error": "none of its hosts is the primary"}),
        (PRIMARY, PRIMARY, {"error": "data1, data2 are each a primary"}),
    ],
)
def test_of_several_nodes_only_the_primary_knows(
    one: dict[str, Any], two: dict[str, Any], judged: dict[str, Any]
) -> None:
    told = {"data1": {"redis": one}, "data2": {"redis": two}}
    assert told_by_all("redis", ["data1", "data2"], told) == judged


def test_of_nodes_of_rabbitmq_the_one_that_has_most_is_believed() -> None:
    alone, figures = {"queues": {"celery": 0}, "taken": 0}, {"queues": {"celery": 3}, "taken": 0}
    told = {"data1": {"rabbitmq": alone}, "data2": {"rabbitmq": figures}, "data3": {"rabbitmq": GONE}}
    assert told_by_all("rabbitmq", ["data1", "data2", "data3"], told) == figures


def test_a_host_that_was_not_asked_is_not_gone() -> None:
    assert told_by_all("redis", ["data1", "data2"], {"data1": {"redis": GONE}}) == {"error": LEFT_OUT}


@pytest.mark.parametrize(
    ("asked", "remedy"),
    [(True, "run playbooks/switch_broker.yml, which moves them"), (False, "bring it back and run again")],
)
def test_the_refusal_is_one_line_with_its_remedy(asked: bool, remedy: str) -> None:
    line = leaving_problem("rabbitmq", "redis", ["data1"], ["a", "b"], {"reports", "celery"}, asked=asked)
    assert line == (
        f"broker.kind: is rabbitmq, and the redis on data1 has this stack's messages (a; b); {remedy}, "
        "or leave them there with -e stalk_abandon=celery,reports"
    )


def test_every_list_is_looked_into() -> None:
    figures = {"queues": {"celery": 0, "celery\x06\x163": 1}, "dead": {"reports": 1}}
    assert lists_of(figures) == ["@dead.reports", "celery", "celery\x06\x163"]


@pytest.mark.parametrize(
    ("component", "kind", "written", "ports"),
    [
        ("redis", "valkey", "port 0\ntls-port 7001\n", (7001, 7001)),
        ("rabbitmq", "rabbitmq", "listeners.ssl.default = 5671\nmanagement.ssl.port = 15999\n", (15999, 5671)),
        ("rabbitmq", "rabbitmq", "listeners.ssl.1 = 127.0.0.1:5679\nmanagement.ssl.port = 15999\n", (15999, 5679)),
    ],
)
def test_it_is_asked_at_the_port_that_it_has(
    tmp_path: Path, component: str, kind: str, written: str, ports: tuple[int, int]
) -> None:
    assert configured_ports("shop", component, kind, tmp_path) is None
    configuration = tmp_path / f"etc/shop/{component}/{component}.conf"
    configuration.parent.mkdir(parents=True)
    configuration.write_text(written)
    assert configured_ports("shop", component, kind, tmp_path) is None
    (tmp_path / f"var/lib/shop-{kind}").mkdir(parents=True)
    assert configured_ports("shop", component, kind, tmp_path) == ports


def test_no_process_leaves_its_host_together_with_the_broker() -> None:
    stack = {
        "app": {"name": "shop"},
        "broker": {"kind": "rabbitmq", "leaving": {"redis": {"kind": "valkey", "hosts": ["data1"]}}},
    }
    running = ["shop-web.service", "shop-worker@default.service", "shop-worker-of-others.service", "shop-redis.service"]
    assert parting_problem(stack, "data1", running, ["web", "worker"]) == ""
    assert parting_problem(stack, "data1", [], []) == ""
    assert parting_problem(stack, "data1", running, ["beat"]) == (
        "broker.kind: is rabbitmq, and web, worker on data1 would use the valkey until the end of the run that takes "
        "it away; describe it there until the broker has changed"
    )


def test_both_brokers_of_a_host_have_ports_of_their_own() -> None:
    stack = {"broker": {"port": 7001}}
    assert port_problem(stack, "redis", {"listens": 7001}, {"data1"}) == (
        "broker.port: 7001 is the one of the redis that still runs on data1; write another until that has left"
    )
    assert port_problem(stack, "redis", {"listens": 6379}, {"data1"}) == ""
    assert port_problem(stack, "redis", {"listens": 7001}, ()) == ""
