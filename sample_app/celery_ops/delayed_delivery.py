"""RabbitMQ's own delay of tasks with an ETA, which brings each to its queue and to no other."""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery.utils.quorum_queues import detect_quorum_queues
from celery.worker.consumer import delayed_delivery
from kombu.entity import Queue
from kombu.transport.native_delayed_delivery import CELERY_DELAYED_DELIVERY_EXCHANGE, MAX_NUMBER_OF_BITS_TO_USE

ANY_DELAY = "*." * MAX_NUMBER_OF_BITS_TO_USE
"""The words before a routing key that say how long; kombu's `#.high` would take what is for `eu.high` as well."""


class DelayedDelivery(delayed_delivery.DelayedDelivery):
    """Celery's step wants to bind the default queue too, and fails when no worker has made that."""

    def _bind_queues(self, app: Celery, connection: Any) -> None:
        for queue in app.amqp.queues.consume_from.values():
            bind_to_delays(connection, queue)


def bind_to_delays(connection: Any, queue: Queue) -> None:
    key = f"{ANY_DELAY}{queue.routing_key}"
    bound = queue.bind(connection.default_channel)  # type: ignore[no-untyped-call]
    bound.bind_to(CELERY_DELAYED_DELIVERY_EXCHANGE, routing_key=key)


def bind(app: Celery, queue: Queue) -> None:
    """Brings to the queue what was delayed; nothing on a broker that delays nothing."""
    with app.connection_for_write() as connection:
        if detect_quorum_queues(app, connection.transport.driver_type)[0]:
            bind_to_delays(connection, queue)
