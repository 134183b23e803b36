"""What a RabbitMQ must be and allow. Every question is one that it refuses after it looked at the rights, or answers
without doing a thing."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import uuid4

from ansible_collections.stalk.celery.plugins.module_utils.broker.amqp import (
    ACCESS_REFUSED,
    NOT_FOUND,
    Amqp,
    AmqpRefused,
)
from ansible_collections.stalk.celery.plugins.module_utils.broker.endpoint import Unfit
from ansible_collections.stalk.celery.plugins.module_utils.broker_url import BrokerUrl

# The first with what quorum queues have of classic ones (rabbitmq.com/release-information), and that was tried.
LEAST_VERSION = (3, 10)
# RabbitMQ refuses such a queue, and before that who has no right to make one.
NEVER_MADE = {"x-expires": 0}
QUORUM = {"x-queue-type": "quorum"}

# Beside its own queues, what every process of Celery 5.7 makes, by an example of each: files/rabbitmq/rights.yaml.
OF_CELERY = ("celery_delayed_0", "celery_delayed_delivery", "celery.pidbox", "reply.celery.pidbox", "celeryev")
OF_A_PROCESS = ("{}.reply.celery.pidbox", "worker@{}.celery.pidbox", "celeryev.{}")


def ask_rabbitmq(connected: socket.socket, url: BrokerUrl, queues: Sequence[str]) -> Iterator[Unfit]:
    with open_vhost(connected, url) as broker:
        yield from version_problems(broker, url)
        for queue in queues:
            yield from shape_problems(broker, url, queue)
        yield from right_problems(broker, url, queues)


def open_vhost(connected: socket.socket, url: BrokerUrl) -> Amqp:
    try:
        return Amqp(connected, url.username, url.password, url.place)
    except AmqpRefused as error:
        if "ACCESS_REFUSED - Login" in str(error):
            raise Unfit(
                f"{url.address} does not let the user {url.username} in", "correct user and password in the secret"
            ) from None
        raise Unfit(
            f"{url.address} does not give the user {url.username} the virtual host {url.place} ({error})",
            "end the secret with one that it has, and give the user rights there",
        ) from None


def version_problems(broker: Amqp, url: BrokerUrl) -> Iterator[Unfit]:
    product, version = str(broker.properties.get("product", "")), str(broker.properties.get("version", ""))
    if product != "RabbitMQ":
        yield Unfit(f"{url.address} is a {product or 'broker without a name'}, not a RabbitMQ", "use a RabbitMQ")
    elif tuple(map(int, re.findall(r"\d+", version)[:2])) < LEAST_VERSION:
        least = ".".join(map(str, LEAST_VERSION))
        yield Unfit(f"{url.address} is a RabbitMQ {version} where {least} is the least", "use a newer one")


def shape_problems(broker: Amqp, url: BrokerUrl, queue: str) -> Iterator[Unfit]:
    """One that is there may be of another type, and no task could be sent to it. Declaring what is there changes
    nothing."""
    for what, of, look, declare in (
        (
            f"queue {queue}",
            "quorum queue",
            lambda: broker.queue_declare(queue, passive=True),
            lambda: broker.queue_declare(queue, QUORUM),
        ),
        (
            f"exchange {queue}",
            "topic exchange",
            lambda: broker.exchange_declare(queue, "topic", passive=True),
            lambda: broker.exchange_declare(queue, "topic"),
        ),
    ):
        code = refusal_of(look) or refusal_of(declare)
        if code not in (0, NOT_FOUND, ACCESS_REFUSED):
            yield Unfit(
                f"the {what} of {url.address} is there already, and is no durable {of}",
                "remove it once it is empty, or use another name or virtual host",
            )


def right_problems(broker: Amqp, url: BrokerUrl, queues: Sequence[str]) -> Iterator[Unfit]:
    """Of each name, which is that of a queue and of an exchange."""
    unique = uuid4().hex
    names = (*queues, *OF_CELERY, *(name.format(unique) for name in OF_A_PROCESS))
    missing: dict[str, list[str]] = {}
    for name in names:
        if refusal_of(lambda name=name: broker.queue_declare(name, NEVER_MADE)) == ACCESS_REFUSED:  # type: ignore[misc]
            missing.setdefault("configure", []).append(name)
        try:
            broker.queue_unbind(name, name, unique)
        except AmqpRefused as error:
            if error.code == ACCESS_REFUSED:
                right = "read" if "read access" in str(error) or f"exchange '{name}'" in str(error) else "write"
                missing.setdefault(right, []).append(name)
    if missing:
        lacks = ", ".join(f"{right} {' and '.join(shown(of, unique))}" for right, of in missing.items())
        yield Unfit(
            f"the user {url.username} of {url.address} may not {lacks} in the virtual host {url.place}",
            "give it the right to configure, write and read them (rabbitmqctl set_permissions)",
        )


def shown(names: Sequence[str], unique: str) -> list[str]:
    most = 3
    found = [name.replace(unique, "*") for name in names]
    return found[:most] + (["others"] if found[most:] else [])


def refusal_of(question: Callable[[], Any]) -> int:
    """The code of its answer; 0 when it is none."""
    try:
        question()
    except AmqpRefused as error:
        return error.code
    return 0


def waiting_in_rabbitmq(connected: socket.socket, url: BrokerUrl, queues: Sequence[str]) -> dict[str, int]:
    """Messages that nobody took yet, by queue; none in one that is not there."""
    with open_vhost(connected, url) as broker:
        counts = {}
        for queue in queues:
            try:
                counts[queue] = broker.queue_declare(queue, passive=True)
            except AmqpRefused as error:
                if error.code != NOT_FOUND:
                    raise
                counts[queue] = 0
        return counts
