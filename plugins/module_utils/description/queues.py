"""Refuses queues into which messages go and stay, and queues that nothing fills."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.description.near import near
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import (
    ANY,
    Path,
    Problem,
    quoted,
)

QUEUES: Path = ("pools", ANY, "queues")
SENDERS: tuple[Path, ...] = (("app", "default_queue"), ("app", "routes"), ("app", "queues"))


def queue_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    consumed = {queue: name for name, pool in values["pools"].items() for queue in pool["queues"]}
    filled = list(sent_to(values))

    for path, queue in filled:
        if queue not in consumed:
            guess = near(queue, list(consumed))
            yield Problem(
                path,
                f"no pool consumes the queue {quoted(queue)}, its messages would wait for ever",
                f"did you mean {guess}?" if guess else "add it to the queues of a pool, or send to another queue",
                (QUEUES,),
            )
    sent = {queue for _, queue in filled}
    for name, pool in values["pools"].items():
        idle = sent.isdisjoint(pool["queues"])
        way_out = f"take the pool away by `{name}: null` under pools" if idle else "remove it"
        for index, queue in enumerate(pool["queues"]):
            if queue not in sent:
                yield Problem(
                    ("pools", name, "queues", index),
                    f"nothing is sent to the queue {quoted(queue)}",
                    f"route a task to it in app.routes, list it in app.queues when the code names it, or {way_out}",
                    SENDERS,
                )
    if not consumed:
        yield Problem(
            ("pools",), "no pool consumes any queue", "add one, for example default: {queues: [celery]}", (QUEUES,)
        )


def sent_to(values: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    app = values["app"]
    yield ("app", "default_queue"), app["default_queue"]
    for task, queue in app["routes"].items():
        yield ("app", "routes", task), queue
    for index, queue in enumerate(app["queues"]):
        yield ("app", "queues", index), queue
