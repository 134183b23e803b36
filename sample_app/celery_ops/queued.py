"""What is queued: open rows of the outbox, and of Redis the messages that wait or that workers hold.

Nothing is taken: RabbitMQ, which shows a message only by giving it out, is not read.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from celery import Celery
from django.db.models import Count
from django.utils import timezone
from kombu import compression, serialization
from kombu.exceptions import ContentDisallowed, SerializationError
from redis import Redis

from celery_ops import sweep
from celery_ops.models import OutboxMessage
from celery_ops.outbox import moment

MOST = 1000
"""Messages that are looked at of each list of Redis, those that are next; and rows of the outbox, times ten."""


class Unreadable(Exception):
    """Why the broker's messages are not looked at."""


@dataclass(frozen=True)
class Queued:
    task: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    due: datetime | None = None


@dataclass
class Backlog:
    """By task id, as a row and its message are one task."""

    queued: dict[str, Queued] = field(default_factory=dict)
    passed_over: Counter[str] = field(default_factory=Counter)
    """Queue to how many messages beyond MOST it has."""


def in_outbox(most: int = 10 * MOST) -> dict[str, Queued]:
    rows = OutboxMessage.objects.filter(acknowledged_at=None).order_by("next_send_at")
    values = rows.values_list("id", "task", "args", "kwargs", "sent_at")[:most]
    return {id: Queued(task, args, kwargs, due) for id, task, args, kwargs, due in values}


def at_broker(app: Celery, queues: Iterable[str], most: int = MOST) -> Backlog:
    """Raises Unreadable, or what redis-py raises."""
    with app.connection_for_read() as connection:
        if connection.transport.driver_type != "redis":
            raise Unreadable("RabbitMQ shows no message without giving it out")
        return in_redis(connection.default_channel, queues, most)


def in_redis(channel: Any, queues: Iterable[str], most: int) -> Backlog:
    # Without kombu's prefixing, which does not know all of these commands.
    client = Redis(connection_pool=channel.pool)
    prefix, backlog = channel.global_keyprefix, Backlog()
    for queue in queues:
        for priority in channel.priority_steps:
            name = prefix + channel._q_for_pri(queue, priority)
            backlog.passed_over[queue] += max(int(client.llen(name)) - most, 0)
            backlog.queued |= tasks_of(json.loads(text) for text in client.lrange(name, -most, -1))
    tags: Any = client.zrange(prefix + channel.unacked_index_key, 0, most - 1)
    held = (client.hget(prefix + channel.unacked_key, tag) for tag in tags)
    # What was acknowledged meanwhile is gone.
    backlog.queued |= tasks_of(json.loads(text)[0] for text in held if text)
    backlog.passed_over = +backlog.passed_over
    return backlog


def tasks_of(payloads: Iterable[Mapping[str, Any]]) -> dict[str, Queued]:
    return dict(found for payload in payloads for found in task_of(payload))


def task_of(payload: Mapping[str, Any]) -> Iterator[tuple[str, Queued]]:
    """Nothing of what is no task, or cannot be read here."""
    headers = payload.get("headers") or {}
    try:
        args, kwargs, _ = body_of(payload)
        yield headers["id"], Queued(headers["task"], args, kwargs, moment(headers.get("eta")))
    except (LookupError, TypeError, ValueError, ContentDisallowed, SerializationError):
        return


def body_of(payload: Mapping[str, Any]) -> Any:
    """As kombu wrote it (transport/virtual/base.py, prepare_message)."""
    body = payload["body"]
    if (payload.get("properties") or {}).get("body_encoding") == "base64":
        body = base64.b64decode(body)
    if name := payload["headers"].get("compression"):
        body = compression.decompress(body, name)  # type: ignore[no-untyped-call]
    return serialization.loads(  # type: ignore[no-untyped-call]
        body, payload["content-type"], payload["content-encoding"], accept={"application/json"}
    )


def open_tasks() -> list[tuple[str, int]]:
    """Task to how many open rows it has."""
    rows = OutboxMessage.objects.filter(acknowledged_at=None).values("task").annotate(count=Count("pk"))
    return list(rows.order_by("task").values_list("task", "count"))


def unfinished(app: Celery, queues: Iterable[str]) -> dict[str, Any]:
    """For the playbooks, while beat stands: sends what is missing, and tells what is open and what is later."""
    swept = sweep.sweep(app)
    queued = in_outbox()
    with suppress(Unreadable):
        queued |= at_broker(app, queues).queued
    return {"sent": swept.sent, "open": open_tasks(), "later": later(queued.values())}


def later(queued: Iterable[Queued]) -> list[dict[str, Any]]:
    """For each task of which some are to start later, how many, and when the last one is."""
    now = timezone.now()
    due: dict[str, list[datetime]] = {}
    for each in queued:
        if each.due and each.due > now:
            due.setdefault(each.task, []).append(each.due)
    return [
        {
            "task": task,
            "count": len(times),
            "last": max(times).isoformat(timespec="seconds"),
            "seconds": (max(times) - now).total_seconds(),
        }
        for task, times in sorted(due.items())
    ]
