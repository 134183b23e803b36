"""RabbitMQ's own delay of tasks with an ETA, which brings each to its queue and to no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import Celery
from celery.app import amqp
from celery.utils.quorum_queues import detect_quorum_queues
from celery.worker.consumer import delayed_delivery
from kombu.entity import Exchange, Queue
from kombu.transport.native_delayed_delivery import (
    CELERY_DELAYED_DELIVERY_EXCHANGE,
    MAX_LEVEL,
    MAX_NUMBER_OF_BITS_TO_USE,
    declare_native_delayed_delivery_exchanges_and_queues,
    level_name,
)

FIRST_EXCHANGE = level_name(MAX_LEVEL)
ANY_DELAY = "*." * MAX_NUMBER_OF_BITS_TO_USE
"""The words before a routing key that say how long; kombu's `#.high` would take what is for `eu.high` as well."""


class DelayedQueue(Queue):
    """A queue that is given what was delayed for it, too."""

    def __hash__(self) -> int:
        """By which kombu remembers what a connection has declared."""
        return hash(("delayed", self.name))

    def _create_bindings(self, nowait: bool = False, channel: Any = None) -> None:
        super()._create_bindings(nowait, channel)  # type: ignore[no-untyped-call]
        make_levels((channel or self.channel).connection.client)
        self.bind_to(  # type: ignore[no-untyped-call]
            CELERY_DELAYED_DELIVERY_EXCHANGE, f"{ANY_DELAY}{self.routing_key}", nowait=nowait, channel=channel
        )


def make_levels(connection: Any) -> None:
    """What delays, when no worker of this broker has started yet, which would have made it."""
    delivery: Any = Exchange(CELERY_DELAYED_DELIVERY_EXCHANGE, type="topic")  # type: ignore[no-untyped-call]
    with connection.channel() as channel:
        try:
            delivery(channel).declare(passive=True)
        except connection.channel_errors:
            declare_native_delayed_delivery_exchanges_and_queues(connection, "quorum")


def delayed(queue: Any) -> Any:
    return DelayedQueue(**queue.as_dict())  # type: ignore[no-untyped-call]


class AMQP(amqp.AMQP):
    """Makes the queue before a task is delayed for it.

    RabbitMQ keeps what it can bring to no queue, and with 32 of these nothing that is delayed goes on
    (rabbitmq.com/docs/quorum-queues, dead_letter_worker_consumer_prefetch).
    """

    def _create_task_sender(self) -> Callable[..., Any]:
        send: Callable[..., Any] = super()._create_task_sender()

        def send_task_message(
            producer: Any, name: str, message: Any, exchange: Any = None, routing_key: Any = None, **options: Any
        ) -> Any:
            if getattr(exchange, "name", exchange) == FIRST_EXCHANGE:
                queue = self.queues.get(routing_key.split(".", MAX_NUMBER_OF_BITS_TO_USE)[-1])
                options["declare"] = [*(options.get("declare") or ()), *([delayed(queue)] if queue else ())]
            return send(producer, name, message, exchange=exchange, routing_key=routing_key, **options)

        return send_task_message


class DelayedDelivery(delayed_delivery.DelayedDelivery):
    """Celery's step wants to bind the default queue too, and fails when no worker has made that. It asks each node of a
    cluster, of which any tells the others, and waits for one that is away for longer than a watchdog may."""

    def _validate_broker_urls(self, broker_urls: Any) -> set[str]:
        super()._validate_broker_urls(broker_urls)
        return {"any node"}

    def _setup_delayed_delivery(self, c: Any, broker_url: str) -> None:
        with c.app.connection_for_write() as connection:
            # Each node is tried, once.
            channel = connection.default_channel
            declare_native_delayed_delivery_exchanges_and_queues(
                connection, c.app.conf.broker_native_delayed_delivery_queue_type
            )
            for queue in c.app.amqp.queues.consume_from.values():
                delayed(queue).declare(channel=channel)


def bind(app: Celery, queue: Queue) -> None:
    """Brings to the queue what was delayed; nothing on a broker that delays nothing."""
    with app.connection_for_write() as connection:
        if detect_quorum_queues(app, connection.transport.driver_type)[0]:
            delayed(queue).declare(channel=connection.default_channel)


def install(app: Celery) -> None:
    app.amqp_cls = f"{__name__}:AMQP"
