"""What the control node remembers of earlier runs, and what it refuses therefore."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.stalk.celery.plugins.action.remember import after
from ansible_collections.stalk.celery.plugins.module_utils.description.describe import describe
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Refused
from ansible_collections.stalk.celery.plugins.module_utils.description.surroundings import Surroundings
from ansible_collections.stalk.celery.plugins.module_utils.memory import (
    Memory,
    MemoryUnreadable,
    file_name,
    keep,
    recall,
)
from bad_descriptions import inventory_groups

HELD = Memory(hosts={"redis": ("data1",), "postgresql": ("data1",)}, pools={"default": ("celery",)})


def refused(folder: Path, values: dict[str, Any], **groups: list[str]) -> list[str]:
    (folder / "stack.yml").write_text(yaml.safe_dump(values))
    surroundings = Surroundings(
        {**inventory_groups(), **groups}, {"DATABASE_URL": "postgresql://u:p@h/d"}, state=folder
    )
    try:
        describe(["stack.yml"], folder, surroundings)
    except Refused as refusal:
        return [line.rpartition(" [stack.yml")[0] or line for line in refusal.lines]
    return []


def test_what_is_kept_is_recalled_and_a_line_is_an_entry(tmp_path: Path) -> None:
    state = tmp_path / "new"
    assert recall(state, "shop") == Memory()
    keep(state, "shop", HELD)
    assert recall(state, "shop") == HELD
    assert recall(state, "books") == Memory()
    path = state / file_name("shop")
    path.write_text(path.read_text().replace("  redis: [data1]\n", ""))
    assert recall(state, "shop").hosts == {"postgresql": ("data1",)}


@pytest.mark.parametrize("content", ["hosts: [", "hosts: 3", "- a", "hosts: {redis: 3}"])
def test_a_broken_memory_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / file_name("shop")).write_text(content)
    with pytest.raises(MemoryUnreadable, match=r"deployed-shop\.yml: .*; mend it, or remove it"):
        recall(tmp_path, "shop")


def test_a_component_is_where_it_was_brought_and_still_belongs() -> None:
    memory = Memory().placed("web", ["app1", "app2"], ["app1", "data1"]).placed("web", ["app1", "app2"], ["app2"])
    assert memory.hosts["web"] == ("app1", "app2")
    assert memory.placed("web", ["app2"], ["app2"]).hosts["web"] == ("app2",)


def test_pools_are_added_before_they_start_and_forgotten_once_they_stopped() -> None:
    memory = HELD.consumed({"default": ["celery", "new"], "reports": ["reports"]}, only=False)
    assert memory.pools == {"default": ("celery", "new"), "reports": ("reports",)}
    both = memory.consumed({"default": ["other"]}, only=False)
    assert both.pools == {"default": ("celery", "new", "other"), "reports": ("reports",)}
    only = both.consumed({"default": ["other"]}, only=True)
    assert only.pools == {"default": ("other",)}
    assert only.left == ("celery", "new", "reports")
    assert only.consumed({"default": ["other", "new"]}, only=True).left == ("celery", "reports")


def test_a_queue_whose_pool_left_is_remembered(tmp_path: Path) -> None:
    memory = HELD.consumed({"default": ["other"]}, only=True)
    keep(tmp_path, "shop", memory)
    assert recall(tmp_path, "shop") == memory


def test_pools_are_forgotten_only_after_a_run_on_every_worker() -> None:
    memory = HELD.consumed({"reports": ["reports"]}, only=False)
    variables = {
        "groups": {"redis": ["data1"], "worker": ["worker1", "worker2"]},
        "stack": {"pools": {"default": {"queues": ["celery"]}}},
    }
    limited = after(memory, "worker", "worker", {**variables, "ansible_play_hosts": ["worker1"]})
    assert set(limited.pools) == {"default", "reports"}
    assert after(memory, "redis", "redis", {**variables, "ansible_play_hosts": ["data1"]}) == memory
    everywhere = after(memory, "worker", "worker", {**variables, "ansible_play_hosts": ["worker1", "worker2"]})
    assert everywhere.pools == {"default": ("celery",)}
    assert everywhere.hosts == HELD.hosts


def test_nothing_is_refused_where_nothing_is_remembered(tmp_path: Path) -> None:
    assert refused(tmp_path, {}, redis=["worker1"]) == []


def test_data_that_stay_where_they_are_are_fine(tmp_path: Path) -> None:
    keep(tmp_path, "shop", HELD)
    assert refused(tmp_path, {}) == []


def test_the_broker_does_not_begin_anew_on_another_host(tmp_path: Path) -> None:
    keep(tmp_path, "shop", HELD)
    assert refused(tmp_path, {}, redis=["worker1"]) == [
        "broker: its data is on data1 and the group redis names worker1; move the data, "
        f"then remove the line `redis` from {tmp_path}/deployed-shop.yml, "
        "or give another inventory a stalk_state of its own"
    ]


def on_cluster(folder: Path, held: list[str], named: list[str], **broker: str) -> list[str]:
    keep(folder, "shop", Memory({"rabbitmq": tuple(held)}))
    return refused(folder, {"broker": {"kind": "rabbitmq", "topology": "cluster", **broker}}, rabbitmq=named)


def test_hosts_of_a_cluster_come_and_go_while_more_than_half_of_its_data_stay(tmp_path: Path) -> None:
    held = ["mq1", "mq2", "mq3"]
    assert on_cluster(tmp_path, held, ["mq1", "mq2", "mq4"]) == []
    assert on_cluster(tmp_path, held, [*held, "mq4", "mq5"]) == []
    assert on_cluster(tmp_path, [*held, "mq4", "mq5"], held) == []
    (line,) = on_cluster(tmp_path, held, ["mq1", "mq4", "mq5"])
    assert line.startswith("broker: its data is on mq1, mq2 and mq3 and the group rabbitmq names mq1, mq4 and mq5; ")


def test_a_cluster_does_not_become_a_single_node(tmp_path: Path) -> None:
    (line,) = on_cluster(tmp_path, ["mq1", "mq2", "mq3"], ["mq1"], topology="single")
    assert line.startswith("broker: its data is on mq1, mq2 and mq3 and the group rabbitmq names mq1; ")


def test_a_database_elsewhere_is_refused_only_while_it_is_embedded(tmp_path: Path) -> None:
    keep(tmp_path, "shop", HELD)
    (line,) = refused(tmp_path, {}, postgresql=["worker1"])
    assert line.startswith("database: its data is on data1 and the group postgresql names worker1; ")
    assert not any("its data" in line for line in refused(tmp_path, {"database": {"kind": "external"}}, postgresql=[]))


SENTINEL = {"broker": {"topology": "sentinel"}}


@pytest.mark.parametrize(
    ("held", "named", "values", "is_fine"),
    [
        (["data1"], ["data2", "data1", "data3"], SENTINEL, True),
        (["data1"], ["data2", "data3", "data4"], SENTINEL, False),
        (["data1", "data2", "data3"], ["data1", "data2", "data4"], SENTINEL, True),
        (["data1", "data2", "data3"], ["data1", "data4", "data5"], SENTINEL, False),
        (["data1", "data2", "data3"], ["data1"], {}, False),
    ],
    ids=["one becomes three", "three others", "one is replaced", "two are replaced", "back to one"],
)
def test_nodes_come_and_go_while_most_of_those_with_the_data_stay(
    tmp_path: Path, held: list[str], named: list[str], values: dict[str, Any], is_fine: bool
) -> None:
    keep(tmp_path, "shop", Memory(hosts={"redis": tuple(held)}))
    refusals = [line for line in refused(tmp_path, values, redis=named) if "its data is on" in line]
    assert bool(refusals) is not is_fine


def test_a_broker_of_another_kind_stays_in_the_inventory_until_it_is_empty(tmp_path: Path) -> None:
    keep(tmp_path, "shop", HELD)
    assert refused(tmp_path, {"broker": {"kind": "rabbitmq"}}, rabbitmq=["worker1"]) == []
    keep(tmp_path, "shop", replace(HELD, hosts={"redis": ("gone1",)}))
    (line,) = refused(tmp_path, {"broker": {"kind": "rabbitmq"}}, rabbitmq=["worker1"])
    assert line.partition(" [")[0] == (
        "broker.kind: is rabbitmq, and the inventory lacks gone1, whose redis may have this stack's messages; "
        "put it back until they are moved"
    )


def test_valkey_begins_empty_where_redis_was_and_is_remembered_by_its_kind(tmp_path: Path) -> None:
    keep(tmp_path, "shop", HELD)
    (line,) = refused(tmp_path, {"broker": {"kind": "valkey"}})
    assert line.startswith(
        "broker.kind: is valkey, and the redis on data1 has this stack's messages; stop what sends, "
    )
    variables = {"groups": {"redis": ["data1"]}, "ansible_play_hosts": ["data1"]}
    keep(tmp_path, "shop", after(Memory(), "redis", "valkey", variables))
    assert refused(tmp_path, {"broker": {"kind": "valkey"}}) == []
    (line,) = refused(tmp_path, {})
    assert line.startswith(
        "broker.kind: is redis, and the valkey on data1 has this stack's messages; stop what sends, "
    )
    (line,) = refused(tmp_path, {"broker": {"kind": "valkey"}}, redis=["worker1"])
    assert line.startswith("broker: its data is on data1 and the group redis names worker1; move the data, ")
    assert f"remove the line `valkey` from {tmp_path}/deployed-shop.yml" in line


def test_a_component_that_ended_everywhere_is_forgotten(tmp_path: Path) -> None:
    assert dict(HELD.without("redis").hosts) == {name: at for name, at in HELD.hosts.items() if name != "redis"}
