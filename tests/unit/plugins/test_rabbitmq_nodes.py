"""What the nodes of a cluster of RabbitMQ lack, by what its command line tells, and whose data a host has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.preflight import management_port_problems, node_problems
from ansible_collections.stalk.celery.plugins.module_utils.rabbitmq_nodes import (
    Commands,
    ControlFailed,
    absent,
    departed,
    lacking,
    read_status,
    unmade,
)
from ansible_collections.stalk.celery.plugins.modules.preflight import management_port

ALL = ["shop@mq1", "shop@mq2", "shop@mq3"]
STATUS = read_status({"disk_nodes": [*ALL, "shop@old"], "ram_nodes": [], "running_nodes": ALL[:2]})


def test_who_is_there_and_who_left() -> None:
    assert absent(STATUS, ALL) == ["shop@mq3"]
    assert departed(STATUS, ALL) == ["shop@old"]


def test_queues_that_are_not_there() -> None:
    definitions = json.dumps({"queues": [{"name": "celery"}, {"name": "@dead.default"}]})
    assert unmade(definitions, [{"name": "celery"}]) == ["@dead.default"]


@pytest.mark.parametrize("kind", ["quorum", "rabbit_quorum_queue"])
def test_nodes_without_a_member_of_a_queue(kind: str) -> None:
    queues: list[dict[str, Any]] = [
        {"name": "celery", "type": kind, "members": ALL[:2]},
        {"name": "high", "type": kind, "members": ALL},
        {"name": "celeryev.1", "type": "classic", "members": ""},
    ]
    assert lacking(queues, ALL) == {"shop@mq3": ["celery"]}


def test_a_command_that_fails_says_why_in_a_line(tmp_path: Path) -> None:
    program = tmp_path / "rabbitmqctl"
    program.write_text("#!/bin/sh\necho 'it is\naway' >&2\nexit 69\n")
    program.chmod(0o755)
    commands = Commands(tmp_path, "shop")
    with pytest.raises(ControlFailed, match=r"^rabbitmqctl stop_app: it is away$"):
        commands.control("stop_app")
    assert commands.status().members == ()


def test_data_of_another_node_are_no_beginning() -> None:
    assert list(node_problems("mq1", "shop", ["shop@mq1"], "shop@mq1")) == []
    (single,) = node_problems("mq1", "shop", ["shop@localhost"], "shop@mq1")
    assert single == (
        "broker.topology: is cluster, and mq1 has the data of a single node; stop what sends, let its queues drain, "
        "then stop shop-rabbitmq on mq1 and remove /var/lib/shop-rabbitmq/data"
    )
    (renamed,) = node_problems("mq1", "shop", ["shop@old"], "shop@mq1")
    assert "has the data of the node shop@old, not of shop@mq1; " in renamed


def test_a_node_keeps_the_port_by_which_the_others_meet_it(tmp_path: Path) -> None:
    configuration = tmp_path / "rabbitmq.conf"
    assert management_port(configuration) is None
    configuration.write_text("listeners.ssl.default = 5671\nmanagement.ssl.port = 15671\nprometheus.ssl.port = 15691\n")
    assert management_port(configuration) == 15671

    def problems(nodes: list[str], deployed: int | None) -> list[str]:
        return list(management_port_problems(nodes, "shop@mq1", deployed, 16000))

    assert problems(["shop@mq1"], 16000) == problems(["shop@mq1"], None) == []
    # One that joins, and one that was single.
    assert problems([], 15671) == problems(["shop@localhost"], 15671) == []
    assert problems(["shop@mq1"], 15671) == [
        "broker.management_port: with 16000 the nodes of the cluster would lose each other, which meet by 15671; "
        "set it back to 15671"
    ]
