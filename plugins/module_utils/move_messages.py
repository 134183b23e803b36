"""move_messages.py: moves messages from the broker that a stack leaves to the one that it has now.

It runs with a release's Python and a worker's environment and secrets, reads a question in JSON from its standard input
and answers in JSON. The addresses are in the question, which no other process sees.

A message is taken from the old broker after the new one has it: who is killed in between leaves it on both, never on
neither. A further run then moves it once more. Of two copies an OutboxTask runs one; of any other task both run.
"""

from __future__ import annotations

import base64
import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

# kombu 5.7: transport/redis.py, Channel.sep, between a queue and a priority; transport/native_delayed_delivery.py.
SEPARATOR = "\x06\x16"
DELAY_LEVELS = tuple(f"celery_delayed_{level}" for level in range(27, -1, -1))
DELAY = re.compile(r"^(?:[01]\.){28}")
# The queue of a pool's dead letters, and the exchange before it.
DEAD_EXCHANGE, DEAD = "@dead", "@dead."
# What RabbitMQ notes on a message that it gave out again or dead-lettered; with some of it, it would drop the message.
OF_THE_BROKER = re.compile(r"x-(death|first-death-.*|last-death-.*|delivery-count|acquired-count|opt-.*)")
# What goes on with a dead letter, for dead_letters.py: the latest x-death, without which nobody knows where it belongs.
DEATH = "x-stalk-death"
KEPT_PROPERTIES = ("correlation_id", "reply_to", "message_id", "type", "app_id")

# Redis: takes the message that was seen, noted as kombu notes what a worker has in hand, where a kill leaves it.
TAKE = """
if redis.call('LRANGE', KEYS[1], -1, -1)[1] ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
redis.call('ZADD', KEYS[3], ARGV[4], ARGV[2])
redis.call('RPOP', KEYS[1])
return 1
"""


@dataclass(frozen=True)
class Message:
    """Of a task, as Celery sent it; `queue` is where it belongs."""

    queue: str
    body: bytes
    content_type: str
    content_encoding: str
    headers: Mapping[str, Any] = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)
    priority: int = 0

    @property
    def eta(self) -> datetime | None:
        """None too of what nobody can read, which the worker then refuses."""
        try:
            eta = datetime.fromisoformat(str(self.headers.get("eta")).replace("Z", "+00:00"))
        except ValueError:
            return None
        return eta if eta.tzinfo else None


def own_headers(headers: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in headers.items() if not OF_THE_BROKER.fullmatch(name)}


def death(headers: Mapping[str, Any]) -> dict[str, Any]:
    """The latest comes first (rabbitmq.com/docs/dlx)."""
    deaths: list[Mapping[str, Any]] = headers.get("x-death") or []
    return {DEATH: {name: str(deaths[0].get(name) or "") for name in ("queue", "reason")}} if deaths else {}


def kept_properties(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {name: properties[name] for name in KEPT_PROPERTIES if properties.get(name) is not None}


def queue_of_list(name: str) -> str:
    """The queue that a list of Redis, of one priority, belongs to."""
    return name.partition(SEPARATOR)[0]


def destination_of(routing_key: str) -> str:
    """The queue that a delayed message is for."""
    return DELAY.sub("", routing_key, count=1)


def from_redis(payload: Mapping[str, Any], queue: str) -> Message:
    """What kombu wrote (transport/virtual/base.py, prepare_message and Base64)."""
    properties = payload.get("properties") or {}
    body = payload.get("body") or ""
    return Message(
        queue=queue,
        body=base64.b64decode(body) if properties.get("body_encoding") == "base64" else body.encode(),
        content_type=payload.get("content-type") or "application/json",
        content_encoding=payload.get("content-encoding") or "utf-8",
        headers=own_headers(payload.get("headers") or {}),
        properties=kept_properties(properties),
        priority=int(properties.get("priority") or 0),
    )


def from_rabbitmq(message: Any, queue: str) -> Message:
    """One that kombu has decompressed."""
    headers = own_headers(message.headers or {})
    headers.pop("compression", None)
    if queue.startswith(DEAD):
        headers |= death(message.headers or {})
    properties = message.properties or {}
    return Message(
        queue=queue,
        body=message.body
        if isinstance(message.body, bytes)
        else message.body.encode(message.content_encoding or "utf-8"),
        content_type=message.content_type or "application/json",
        content_encoding=message.content_encoding or "utf-8",
        headers=headers,
        properties=kept_properties(properties),
        priority=int(properties.get("priority") or 0),
    )


class OldBroker(Protocol):
    def messages(self) -> Iterator[tuple[Message, Any]]:
        """Each message that waits, and how `forget` knows it: None of a copy that goes with a later one."""

    def forget(self, taken: Any) -> None:
        """Ends a message that the new broker has."""

    kept: int
    """How many of a round workers had in hand, or are delayed, for a queue that is abandoned."""


class OldRedis:
    def __init__(self, connection: Any, prefix: str, asked: Mapping[str, Any]) -> None:
        import redis

        self.channel = connection.default_channel
        # Without kombu's prefixing, which knows one key of a script.
        self.client = redis.Redis(connection_pool=self.channel.pool)
        self.take = self.client.register_script(TAKE)
        self.prefix = prefix
        self.lists: list[str] = asked["queues"]
        self.abandoned = frozenset(asked["abandoned"])
        self.held: bool = asked["held"]
        self.kept = 0

    def messages(self) -> Iterator[tuple[Message, Any]]:
        self.kept = 0
        for name in self.lists:
            if queue_of_list(name) not in self.abandoned:
                yield from self._waiting(name)
        if self.held:
            yield from self._held()

    def _waiting(self, name: str) -> Iterator[tuple[Message, Any]]:
        key, queue = self.prefix + name, queue_of_list(name)
        while seen := self.client.lrange(key, -1, -1):
            payload = json.loads(seen[0])
            tag = str(payload.get("properties", {}).get("delivery_tag") or uuid4())
            note = json.dumps([payload, "", queue])
            keys = [key, f"{self.prefix}unacked", f"{self.prefix}unacked_index"]
            if self.take(keys=keys, args=[seen[0], tag, note, time.time()]):
                yield from_redis(payload, queue), tag

    def _held(self) -> Iterator[tuple[Message, Any]]:
        """What workers had in hand that were killed."""
        for tag in self.client.zrange(f"{self.prefix}unacked_index", 0, -1):
            if not (note := self.client.hget(f"{self.prefix}unacked", tag)):
                continue
            payload, exchange, routing_key = json.loads(note)
            queues = {routing_key} if not exchange else set(self.channel._lookup(exchange, routing_key))
            if queues & self.abandoned:
                self.kept += 1
                continue
            for queue in sorted(queues):
                yield from_redis(payload, queue), tag if queue == max(queues) else None

    def forget(self, taken: Any) -> None:
        with self.client.pipeline() as pipe:
            pipe.zrem(f"{self.prefix}unacked_index", taken).hdel(f"{self.prefix}unacked", taken).execute()


class OldRabbitMQ:
    def __init__(self, connection: Any, asked: Mapping[str, Any]) -> None:
        self.connection = connection
        self.queues: list[str] = asked["queues"]
        self.abandoned = frozenset(asked["abandoned"])
        self.kept = 0

    def messages(self) -> Iterator[tuple[Message, Any]]:
        """Delayed ones first: what is due meanwhile comes to the queues, which are looked at later."""
        self.kept = 0
        for name in (*DELAY_LEVELS, *self.queues):
            if name not in self.abandoned:
                yield from self._waiting(name)

    def _waiting(self, name: str) -> Iterator[tuple[Message, Any]]:
        from kombu import Queue

        # What is left untaken goes back to its queue with its channel.
        with self.connection.channel() as channel:
            queue = Queue(name, channel=channel, no_declare=True)
            try:
                channel.queue_declare(name, passive=True)
            except self.connection.channel_errors as error:
                if getattr(error, "reply_code", 0) == 404:
                    return
                raise
            while (message := queue.get(no_ack=False)) is not None:
                belongs = destination_of(message.delivery_info["routing_key"]) if name in DELAY_LEVELS else name
                if belongs in self.abandoned:
                    self.kept += 1
                else:
                    yield from_rabbitmq(message, belongs), message

    def forget(self, taken: Any) -> None:
        taken.ack()


class NewBroker:
    """The one that the app has now, through its own settings and transport."""

    def __init__(self, app: Any, connection: Any) -> None:
        from celery.utils.quorum_queues import detect_quorum_queues

        self.app = app
        self.is_rabbitmq = connection.transport.driver_type == "amqp"
        self.delays = self.is_rabbitmq and detect_quorum_queues(app, "amqp")[0]
        self.producer = app.amqp.Producer(connection, auto_declare=False)

    def take(self, message: Message) -> None:
        """Returns once the broker has it."""
        exchange, routing_key, declare = self._route(message)
        self.producer.publish(
            message.body,
            exchange=exchange,
            routing_key=routing_key,
            declare=declare,
            content_type=message.content_type,
            content_encoding=message.content_encoding,
            headers=dict(message.headers),
            priority=message.priority,
            delivery_mode=2,
            retry=False,
            **message.properties,
        )

    def _route(self, message: Message) -> tuple[str, str, list[Any]]:
        """As Celery sends (app/base.py and app/amqp.py); a delay goes on where the broker delays."""
        if not self.is_rabbitmq:
            return "", message.queue, []
        if message.queue.startswith(DEAD):
            return self._dead(message.queue)
        queue = self.app.amqp.queues[message.queue]
        seconds = int((message.eta - self.app.now()).total_seconds()) if message.eta else 0
        if not self.delays or queue.exchange.type == "direct" or seconds < 1:
            return queue.exchange.name, queue.routing_key, [queue]
        from celery_ops.delayed_delivery import FIRST_EXCHANGE, delayed
        from celery_ops.rabbitmq_transport import routing_key_of_delay

        return FIRST_EXCHANGE, routing_key_of_delay(seconds, queue.routing_key), [delayed(queue)]

    def _dead(self, name: str) -> tuple[str, str, list[Any]]:
        """As the role rabbitmq declares it."""
        from kombu import Exchange, Queue

        pool = name.removeprefix(DEAD)
        exchange = Exchange(DEAD_EXCHANGE, type="direct")
        return DEAD_EXCHANGE, pool, [Queue(name, exchange, pool, queue_arguments={"x-queue-type": "quorum"})]


def move(old: OldBroker, new: NewBroker, most: int) -> tuple[Counter[str], bool]:
    """What was moved, by queue, and whether that was all."""
    moved: Counter[str] = Counter()
    while True:
        before = moved.total()
        for message, taken in old.messages():
            new.take(message)
            moved[message.queue] += 1
            if taken is None:
                continue
            old.forget(taken)
            if moved.total() >= most:
                return moved, False
        # RabbitMQ may have brought delayed messages to where this round had looked before.
        if moved.total() == before:
            return moved, True


def connection_to(address: str, names: Mapping[str, str]) -> Any:
    """By the settings that the app would have with this address, and these variables for several nodes."""
    from celery import Celery
    from celery_ops import tls
    from celery_ops.settings import broker_settings

    os.environ.update(names, CELERY_BROKER_URL=address)
    app = Celery("old", set_as_current=False)
    app.conf.update(
        {name.removeprefix("CELERY_").lower(): value for name, value in broker_settings(tls.files()).items()}
    )
    return app.connection_for_write(heartbeat=0)


def answer(asked: Mapping[str, Any]) -> dict[str, Any]:
    os.environ["CELERY_BROKER_URL"] = asked["new"]
    import django

    django.setup()
    from celery.app.utils import find_app

    app = find_app(asked["celery"])
    with app.connection_for_write(heartbeat=0) as arriving, connection_to(asked["old"], asked["names"]) as leaving:
        old: OldBroker
        if leaving.transport.driver_type == "amqp":
            old = OldRabbitMQ(leaving, asked)
        else:
            old = OldRedis(leaving, os.environ.get("CELERY_KEY_PREFIX", ""), asked)
        moved, complete = move(old, NewBroker(app, arriving), asked["most"])
    return {"moved": dict(moved), "complete": complete, "kept": old.kept}


if __name__ == "__main__":
    # The release's code is in the working directory.
    sys.path[0] = str(Path.cwd())
    print(json.dumps(answer(json.load(sys.stdin))))
