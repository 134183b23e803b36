"""Heartbeats: a small JSON file whose age tells whether a process still works, and a word to systemd's watchdog.

A worker's file is written by its main loop, so a blocked loop makes it stale; while the broker is away it is
written between the attempts to connect, so an outage of the broker does not.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Set
from pathlib import Path
from typing import Any

from celery import bootsteps, signals
from celery.concurrency import prefork
from celery.utils.log import get_logger
from celery.worker import state
from celery.worker.consumer import Consumer

from celery_ops import delayed_delivery, environment, rabbitmq_transport, redis_transport, watchdog
from celery_ops.redis_left_behind import left_behind

SECONDS_BETWEEN_BEATS = 5

logger = get_logger(__name__)


class HeartbeatFile:
    """Replaced atomically. A failure to write is logged, never raised."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._next = path + ".next"
        # Taken twice where a signal's handler removes what it interrupted.
        self._lock = threading.RLock()
        self._written_at = float("-inf")
        self._failed = False
        self._removed = False

    @property
    def is_due(self) -> bool:
        return not self._removed and time.monotonic() - self._written_at >= SECONDS_BETWEEN_BEATS

    def write(self, content: dict[str, Any]) -> None:
        watchdog.tell_alive()
        with self._lock:
            if self._removed:
                return
            self._written_at = time.monotonic()
            try:
                with open(self._next, "w", encoding="utf-8") as file:  # noqa: PTH123
                    json.dump({"time": time.time(), **content}, file)
                os.replace(self._next, self._path)  # noqa: PTH105
            except OSError as error:
                if not self._failed:
                    logger.error("CELERY_HEARTBEAT_FILE: %s cannot be written (%s)", self._path, error.strerror)
                self._failed = True
            else:
                self._failed = False

    def remove(self) -> None:
        with self._lock:
            self._removed = True
            for path in (self._path, Path(self._next)):
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)


def configured_file() -> HeartbeatFile | None:
    path = environment.text("CELERY_HEARTBEAT_FILE")
    return HeartbeatFile(path) if path else None


class WorkerHeartbeat(bootsteps.StartStopStep):
    """Gives the worker `worker.heartbeat`; inert without CELERY_HEARTBEAT_FILE."""

    requires = ("celery.worker.components:Timer",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self.worker = worker
        self.file = configured_file()
        self.enabled = self.file is not None
        self.has_ended = threading.Event()
        self.was_consuming: bool | None = None
        worker.heartbeat = self if self.enabled else None

    def start(self, worker: Any) -> None:
        signals.worker_shutdown.connect(self.end, sender=worker, weak=False)
        if worker.hub:
            worker.timer.call_repeatedly(1, self.beat)
        # The pool of processes keeps the hub's timers going while it drains (celery/concurrency/prefork.py, on_stop);
        # it alone forks, and a process with threads had better not.
        if self.pool_kind != "prefork":
            threading.Thread(target=self.beat_while_waiting_for_tasks, name="heartbeat", daemon=True).start()

    def terminate(self, worker: Any) -> None:
        self.end()

    def end(self, **_: Any) -> None:
        self.has_ended.set()
        if self.file:
            self.file.remove()

    @property
    def pool_kind(self) -> str:
        return str(type(self.worker.pool).__module__).rpartition(".")[2]

    def beat_while_waiting_for_tasks(self) -> None:
        """Beats, for RabbitMQ as well, in place of a main loop that runs a task itself (solo) or waits for the last.

        A broker that hears nothing gives what the worker holds to another (rabbitmq.com/docs/heartbeats).
        """
        while not self.has_ended.wait(1):
            is_draining = self.worker.blueprint.state != bootsteps.RUN
            if is_draining or (self.pool_kind == "solo" and state.active_requests):
                self.beat()
                rabbitmq_transport.send_heartbeat(getattr(self.worker.consumer, "connection", None))

    def beat(self) -> None:
        is_consuming = self.is_consuming()
        if self.file and (self.file.is_due or is_consuming != self.was_consuming):
            self.was_consuming = is_consuming
            self.file.write(self.content(is_consuming))

    def is_consuming(self) -> bool:
        consumer = getattr(self.worker, "consumer", None)
        tasks = getattr(consumer, "task_consumer", None)
        return bool(
            consumer
            and consumer.connection
            and tasks
            and tasks.queues
            and state.should_stop is None
            and state.should_terminate is None
            and self.worker.blueprint.state == bootsteps.RUN
            and consumer.blueprint.state == bootsteps.RUN
            and consumer.is_in_event_loop
        )

    def content(self, is_consuming: bool) -> dict[str, Any]:
        active = {request.id for request in tuple(state.active_requests)}
        held = {request.id for request in (*tuple(state.reserved_requests), *tuple(state.scheduled_requests))}
        return {
            "hostname": self.worker.hostname,
            "concurrency": self.worker.concurrency,
            "active": len(active),
            "reserved": len(held - active),
            "consuming": is_consuming,
        }


# Another node serves within seconds; kombu would look after 2, 6, 12, 20 and 30 s (kombu 5.7.0, connection.py).
BETWEEN_ATTEMPTS = {"interval_start": 1, "interval_step": 0}
REPLACED_STEPS = {
    "celery.worker.consumer.heart:Heart": "celery_ops.event_heartbeat:Heart",
    "celery.worker.consumer.delayed_delivery:DelayedDelivery": "celery_ops.delayed_delivery:DelayedDelivery",
}


class BeatingConsumer(Consumer):
    """The worker's consumer, which tells the heartbeat that its loop went round or that it tries to connect."""

    class Blueprint(Consumer.Blueprint):
        default_steps = tuple(REPLACED_STEPS.get(step, step) for step in Consumer.Blueprint.default_steps)

    is_in_event_loop = False
    has_timer = False
    kept: Set[Any] = frozenset()
    """Requests that the pool still works on although their connection is lost."""

    def on_ready(self) -> None:
        super().on_ready()
        self.is_in_event_loop = True
        self.beat()
        if self.hub and not self.has_timer:
            self.has_timer = True
            self.timer.call_repeatedly(1, self.settle)

    @property
    def redis_channel(self) -> redis_transport.Channel | None:
        channel = self.task_consumer and self.task_consumer.channel
        return channel if isinstance(channel, redis_transport.Channel) and not channel.closed else None

    def settle(self) -> None:
        """What the last connection to Redis could not tell."""
        if not left_behind or not (channel := self.redis_channel):
            return
        requests = (*self.kept, *tuple(state.active_requests))
        running = {request.message.delivery_tag for request in requests if not request.acknowledged}
        with contextlib.suppress(*self.connection_errors):
            left_behind.settle(channel.qos, running)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        if channel := self.redis_channel:
            left_behind.take(channel.qos)
        super().on_connection_error_after_connected(exc)

    def on_close(self) -> None:
        self.is_in_event_loop = False
        # Any other pool runs what waits in it as well: it has nothing to drop it with (BasePool.flush).
        goes_on = state.active_requests if isinstance(self.pool, prefork.TaskPool) else state.reserved_requests
        self.kept = {request for request in (*self.kept, *tuple(goes_on)) if not request.acknowledged}
        super().on_close()
        self.beat()

    def shutdown(self) -> None:
        if channel := self.redis_channel:
            with contextlib.suppress(*self.connection_errors):
                left_behind.end(channel.qos)
        super().shutdown()

    def perform_pending_operations(self) -> None:
        super().perform_pending_operations()
        self.beat()
        self.settle()

    def add_task_queue(self, queue: str, exchange: str | None = None, *args: Any, **options: Any) -> None:
        if exchange is None:
            # Made as the settings say; of a name that it does not know Celery makes a classic queue.
            self.app.amqp.queues[queue]
        super().add_task_queue(queue, exchange, *args, **options)
        delayed_delivery.bind(self.app, self.app.amqp.queues[queue])

    def connection_for_write(self, url: str | None = None, heartbeat: float | None = None) -> Any:
        """The connection for events, which wait for no confirm of RabbitMQ, and need no heartbeat of it: a send ends it
        when it is broken."""
        events = self.app.connection_for_write(url=url, heartbeat=0)
        events.transport_options.pop("confirm_publish", None)
        return self.ensure_connected(events)

    def ensure_connected(self, conn: Any) -> Any:
        connect = conn.ensure_connection

        def ensure_connection(*args: Any, callback: Any, **options: Any) -> Any:
            def between_attempts() -> None:
                self.beat()
                callback()

            return connect(*args, callback=between_attempts, **BETWEEN_ATTEMPTS, **options)

        conn.ensure_connection = ensure_connection
        return super().ensure_connected(conn)

    def beat(self) -> None:
        if heartbeat := getattr(self.controller, "heartbeat", None):
            heartbeat.beat()
