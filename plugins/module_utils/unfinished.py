"""What the release before has still to do, in words. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.stranded import messages, queue_of, untold, waits


def left_at_broker(figures: Mapping[str, Any], queues: Collection[str]) -> Iterator[str]:
    """Of the figures that one of its hosts told; dead letters, and what is in a queue of no pool, nobody would take."""
    if "error" in figures:
        yield untold(figures["error"])
        return
    waiting: Counter[str] = Counter()
    for name, length in figures["queues"].items():
        waiting[queue_of(name)] += length
    for queue in sorted(queues):
        if count := waiting[queue]:
            yield f"queue {queue}: {waits(count)}"
    if taken := int(figures.get("taken", 0)):
        yield f"workers hold {messages(taken)}"
    if delayed := int(figures.get("delayed", 0)):
        yield f"{waits(delayed)} for later"


def is_telling(figures: Mapping[str, Any]) -> bool:
    """Not a replica: it may lag behind its primary, whose host tells."""
    return figures.get("role") != "replica"


def left_in_outbox(told: Mapping[str, Any]) -> Iterator[str]:
    for task, count in told["open"]:
        yield f"outbox: {count} of {task} {'is' if count == 1 else 'are'} open"


def left_for_later(told: Mapping[str, Any], seconds: float = 0) -> Iterator[str]:
    """Tasks of which some start only after so many seconds."""
    for each in told["later"]:
        if each["seconds"] > seconds:
            count = each["count"]
            waits_on = "waits" if count == 1 else "wait"
            yield f"{each['task']}: {count} {waits_on} for later, the last until {each['last']}"
