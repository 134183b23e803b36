"""How a message goes from one broker to another: whole, and taken only when the new one has it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.move_messages import (
    Message,
    OldRedis,
    destination_of,
    from_rabbitmq,
    from_redis,
    move,
)
from ansible_collections.stalk.celery.plugins.modules.move_messages import names_of_nodes

HEADERS = {"task": "shop.tasks.ship", "id": "1", "eta": "2026-11-29T08:00:00+00:00", "retries": 2, "group": None}
BODY = b'[[7], {}, {"callbacks": null, "chord": null}]'
PAYLOAD = {
    "body": base64.b64encode(BODY).decode(),
    "content-type": "application/json",
    "content-encoding": "utf-8",
    "headers": HEADERS,
    "properties": {
        "correlation_id": "1",
        "reply_to": "answers",
        "priority": 3,
        "delivery_mode": 2,
        "delivery_tag": "tag",
        "body_encoding": "base64",
        "delivery_info": {"exchange": "", "routing_key": "celery"},
    },
}
WHOLE = Message(
    "celery", BODY, "application/json", "utf-8", HEADERS, {"correlation_id": "1", "reply_to": "answers"}, priority=3
)


def test_a_message_of_redis_is_read_whole() -> None:
    assert from_redis(PAYLOAD, "celery") == WHOLE


def test_a_message_of_rabbitmq_is_read_whole_without_the_notes_of_the_broker() -> None:
    found = SimpleNamespace(
        body=BODY,
        content_type="application/json",
        content_encoding="utf-8",
        headers={
            **HEADERS,
            "x-death": [{"count": 1}],
            "x-delivery-count": 2,
            "x-first-death-queue": "celery_delayed_3",
        },
        properties={
            "correlation_id": "1",
            "reply_to": "answers",
            "priority": 3,
            "expiration": "1000",
            "user_id": "web",
        },
    )
    assert from_rabbitmq(found, "celery") == WHOLE


def test_a_dead_letter_keeps_the_queue_that_it_came_from() -> None:
    deaths = [{"queue": "reports", "reason": "delivery_limit", "count": 1}, {"queue": "celery", "reason": "rejected"}]
    found = SimpleNamespace(
        body=BODY, content_type=None, content_encoding=None, properties={}, headers={**HEADERS, "x-death": deaths}
    )
    noted = {**HEADERS, "x-stalk-death": {"queue": "reports", "reason": "delivery_limit"}}
    assert from_rabbitmq(found, "@dead.io").headers == noted
    assert from_rabbitmq(found, "reports").headers == HEADERS
    found.headers = noted
    assert from_rabbitmq(found, "@dead.io").headers == noted


@pytest.mark.parametrize("eta", [None, "", "soon", "2026-11-29T08:00:00"])
def test_what_is_no_time_is_no_delay(eta: str | None) -> None:
    assert from_redis({**PAYLOAD, "headers": {"eta": eta}}, "celery").eta is None


def test_a_time_is_a_delay() -> None:
    assert WHOLE.eta == datetime(2026, 11, 29, 8, tzinfo=UTC)
    assert from_redis({**PAYLOAD, "headers": {"eta": "2026-11-29T08:00:00Z"}}, "celery").eta == WHOLE.eta


def test_a_delayed_message_tells_its_queue() -> None:
    assert destination_of("0." * 24 + "1.0.1.0.eu.reports") == "eu.reports"
    assert destination_of("reports") == "reports"


class Broker:
    """Both: what it has, and what came to it."""

    def __init__(self, *queues: str, refuses: str = "") -> None:
        self.has = [Message(queue, b"", "", "") for queue in queues]
        self.refuses = refuses
        self.log: list[str] = []
        self.kept = 0

    def messages(self) -> Iterator[tuple[Message, Any]]:
        for message in list(self.has):
            yield message, message

    def forget(self, taken: Any) -> None:
        self.log.append(f"forgets {taken.queue}")
        self.has.remove(taken)

    def take(self, message: Message) -> None:
        if message.queue == self.refuses:
            raise RuntimeError("full")
        self.log.append(f"takes {message.queue}")


def both(old: Broker) -> Any:
    """A new broker that shares the old one's log."""
    new: Any = Broker()
    new.log = old.log
    return new


def test_the_new_broker_has_a_message_before_the_old_one_forgets_it() -> None:
    old = Broker("a", "b")
    moved, complete = move(old, both(old), most=10)
    assert (dict(moved), complete) == ({"a": 1, "b": 1}, True)
    assert old.log == ["takes a", "forgets a", "takes b", "forgets b"]


def test_what_the_new_broker_refuses_stays_with_the_old_one() -> None:
    old, new = Broker("a", "b"), Broker(refuses="b")
    with pytest.raises(RuntimeError):
        move(old, new, most=10)  # type: ignore[arg-type]
    assert [message.queue for message in old.has] == ["b"]


class OneInHand:
    """A Redis in which a worker held a message, and the channel that knows its exchange."""

    def __init__(self, *queues: str) -> None:
        self.queues = queues
        self.forgotten: list[str] = []

    def zrange(self, *_: object) -> list[str]:
        return [] if self.forgotten else ["tag"]

    def hget(self, *_: object) -> str:
        return json.dumps([PAYLOAD, "news", "fresh"])

    def _lookup(self, *_: object) -> list[str]:
        return list(self.queues)


class RedisThatWorkersLeft(OldRedis):
    def __init__(self, *queues: str) -> None:
        self.client = self.channel = self.has = OneInHand(*queues)
        self.prefix, self.lists, self.abandoned, self.held = "shop:", [], frozenset(), True

    def forget(self, taken: Any) -> None:
        self.has.forgotten += [taken] if taken else []


def test_what_an_exchange_gives_to_several_queues_is_forgotten_with_the_last() -> None:
    old, new = RedisThatWorkersLeft("b", "a"), Broker(refuses="b")
    with pytest.raises(RuntimeError):
        move(old, new, most=10)  # type: ignore[arg-type]
    assert (new.log, old.has.forgotten) == (["takes a"], [])
    moved, complete = move(old, Broker(), most=1)  # type: ignore[arg-type]
    assert (dict(moved), complete, old.has.forgotten) == ({"a": 1, "b": 1}, False, ["tag"])


def test_somebody_sees_how_it_goes_on() -> None:
    old = Broker("a", "b", "c")
    assert move(old, both(old), most=2)[1] is False
    moved, complete = move(old, both(old), most=2)
    assert (dict(moved), complete) == ({"c": 1}, True)


@pytest.mark.parametrize(
    ("address", "names"),
    [
        ("amqps://worker:p@mq1:5671/shop", {}),
        ("amqps://worker:p@mq1:5671/shop;amqps://worker:p@mq2:5671/shop", {"CELERY_BROKER_HOSTNAME": "shop-rabbitmq"}),
        ("rediss://worker:p@data:6379/0", {}),
        ("sentinel://worker:p@one:26379/0;sentinel://worker:p@two:26379/0", {"CELERY_SENTINEL_MASTER": "shop"}),
    ],
)
def test_several_nodes_that_are_left_have_a_name(address: str, names: dict[str, str]) -> None:
    assert names_of_nodes("shop", address) == names
