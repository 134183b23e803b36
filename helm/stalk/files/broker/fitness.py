"""Whether a broker that somebody else provides can serve, asked before a release needs it; it changes nothing there."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from ansible_collections.stalk.celery.plugins.module_utils.broker.amqp import AmqpBroken, AmqpRefused
from ansible_collections.stalk.celery.plugins.module_utils.broker.endpoint import Endpoint, Unfit
from ansible_collections.stalk.celery.plugins.module_utils.broker.rabbitmq_fitness import (
    ask_rabbitmq,
    waiting_in_rabbitmq,
)
from ansible_collections.stalk.celery.plugins.module_utils.broker.redis_fitness import ask_redis, waiting_in_redis
from ansible_collections.stalk.celery.plugins.module_utils.broker.resp import RedisRefused
from ansible_collections.stalk.celery.plugins.module_utils.broker_url import REDIS


@dataclass(frozen=True)
class Asked:
    """What a stack needs of it: the app's name, and its queues; none of a store of results."""

    app: str
    queues: Sequence[str] = ()


@dataclass(frozen=True)
class Fitness:
    """What stands against it, and what it does not tell."""

    problems: list[Unfit] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)


def fitness(endpoint: Endpoint, asked: Asked) -> Fitness:
    untold: list[str] = []
    try:
        with conversation(endpoint) as connected:
            if endpoint.url.protocol == REDIS:
                problems = list(ask_redis(connected, endpoint.url, asked.app, asked.queues, untold))
            else:
                problems = list(ask_rabbitmq(connected, endpoint.url, asked.queues))
    except Unfit as problem:
        return Fitness([problem], untold)
    return Fitness(problems, untold)


@contextmanager
def conversation(endpoint: Endpoint) -> Iterator[socket.socket]:
    """Whatever it does not answer well is an Unfit."""
    try:
        with endpoint.connected() as connected:
            yield connected
    except (RedisRefused, AmqpRefused, AmqpBroken, ValueError) as error:
        raise Unfit(f"{endpoint.url.address} does not answer as it should ({error})", "see its log") from None


def waiting(endpoint: Endpoint, app: str, queues: Sequence[str]) -> dict[str, int]:
    """Messages that nobody took yet, by queue. Raises Unfit."""
    with conversation(endpoint) as connected:
        if endpoint.url.protocol == REDIS:
            return waiting_in_redis(connected, endpoint.url, app, queues)
        return waiting_in_rabbitmq(connected, endpoint.url, queues)
