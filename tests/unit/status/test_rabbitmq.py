"""What RabbitMQ's management API tells, as the broker's figures."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.status.rabbitmq import told
from ansible_collections.stalk.celery.plugins.module_utils.stranded import BrokerSilent

NODE = {"mem_used": 150, "mem_limit": 512, "disk_free_alarm": False}


def queue(name: str, ready: int, taken: int = 0) -> dict[str, Any]:
    return {"name": name, "messages_ready": ready, "messages_unacknowledged": taken}


def test_a_queue_that_has_lost_its_majority_is_not_told_to_be_empty() -> None:
    with pytest.raises(BrokerSilent, match=r"^the queue celery is minority$"):
        told(NODE, [{"name": "celery", "state": "minority"}, queue("high", 1)], ["celery", "high"])


def test_queues_of_tasks_are_told_from_all_others() -> None:
    listed = [
        queue("celery", 7, 2),
        queue("old", 1),
        queue("celery_delayed_3", 4),
        queue("celery_delayed_27", 1),
        queue("@dead.default", 2, 1),
        queue("@dead.high", 0),
        queue("default@one.celery.pidbox", 5, 5),
        queue("0f.reply.celery.pidbox", 3),
        queue("celeryev.0f", 9),
    ]
    assert told(NODE, listed, ["celery", "high"]) == {
        "memory": 150,
        "limit": 512,
        "taken": 2,
        "queues": {"celery": 7, "high": 0, "old": 1},
        "delayed": 5,
        "dead": {"default": 2},
        "saved": True,
    }


def test_a_queue_without_figures_yet_is_empty() -> None:
    assert told(NODE, [{"name": "celery"}], [])["queues"] == {"celery": 0}


def test_a_disk_that_is_short_is_told() -> None:
    assert told({**NODE, "disk_free_alarm": True}, [], [])["saved"] is False
