"""Refuses queues into which messages go and stay, queues that nothing fills, and names that are not to be had."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.description.chart import chart_words
from ansible_collections.stalk.celery.plugins.module_utils.description.derive import broker_protocol
from ansible_collections.stalk.celery.plugins.module_utils.description.near import near
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Path, Problem, quoted
from ansible_collections.stalk.celery.plugins.module_utils.description.sayings import refusal, remedy_said

RESERVED = re.compile(chart_words("rules")["queues"]["reserved"])


def queue_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    consumed = {queue for pool in values["pools"].values() for queue in pool["queues"]}
    filled = list(sent_to(values))
    sent = {queue for _, queue in filled}

    for path, queue in filled:
        if queue not in consumed:
            guess = near(queue, consumed)
            remedy = remedy_said("guess", guess=guess) if guess else remedy_said("consume")
            yield refusal("queue_unconsumed", path, queue=quoted(queue), remedy=remedy)
    for name, pool in values["pools"].items():
        way_out = remedy_said("remove_pool" if sent.isdisjoint(pool["queues"]) else "remove", pool=name)
        for index, queue in enumerate(pool["queues"]):
            if queue not in sent:
                yield refusal("queue_unfilled", ("pools", name, "queues", index), queue=quoted(queue), way_out=way_out)
            if broker_protocol(values) == "rabbitmq" and RESERVED.search(queue):
                yield refusal("queue_reserved", ("pools", name, "queues", index), queue=quoted(queue))
    if not consumed:
        yield refusal("queues_none", ("pools",))


def sent_to(values: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    app = values["app"]
    yield ("app", "default_queue"), app["default_queue"]
    for task, queue in app["routes"].items():
        yield ("app", "routes", task), queue
    for index, queue in enumerate(app["queues"]):
        yield ("app", "queues", index), queue
