"""RabbitMQ's own delay of tasks with an ETA, for the queues that a worker consumes."""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery.utils.quorum_queues import detect_quorum_queues
from celery.worker.consumer import delayed_delivery
from kombu.entity import Queue
from kombu.transport.native_delayed_delivery import bind_queue_to_native_delayed_delivery_exchange


class DelayedDelivery(delayed_delivery.DelayedDelivery):
    """Celery's step wants to bind the default queue too, and fails when no worker has made that."""

    def _bind_queues(self, app: Celery, connection: Any) -> None:
        for queue in app.amqp.queues.consume_from.values():
            bind_queue_to_native_delayed_delivery_exchange(connection, queue)


def bind(app: Celery, queue: Queue) -> None:
    """Brings to the queue what was delayed; nothing on a broker that delays nothing."""
    with app.connection_for_write() as connection:
        if detect_quorum_queues(app, connection.transport.driver_type)[0]:
            bind_queue_to_native_delayed_delivery_exchange(connection, queue)
