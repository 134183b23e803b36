"""kombu's Redis transport, which keeps its client and can tell how many messages the workers of a pool hold.

kombu builds a client of redis-py for each publish, each delivery and each acknowledgement, and redis-py copies a
table of 170 callbacks into each: a sixth of what a worker's main process does for a task, and an eighth of a publish
(kombu/transport/redis.py, conn_or_acquire; redis/client.py, CaseInsensitiveDict; kombu 5.7.0, redis-py 8.1.0).
A client on a pool has no state of its own, so one serves all threads.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis
from redis.connection import SSLConnection

from celery_ops import redis_tls
from celery_ops.redis_left_behind import left_behind

SECONDS_TO_RETURN = 300
"""What kombu may need to return a message that is overdue: it looks every 100 s."""


class QoS(kombu_redis.QoS):
    """Keeps the delivery tags of the messages that it holds in the set `unacked_tags_key`, if there is one.

    The messages stay in one hash for all workers: one of another pool, or of a pool that is renamed, returns them when
    their worker was killed. What is left of such a worker in the set ends with a redelivery, or with the set.
    """

    _arriving: str | None = None

    def append(self, message: Any, delivery_tag: str) -> None:
        self._arriving = delivery_tag
        message.received_at = time.time()
        try:
            super().append(message, delivery_tag)  # type: ignore[no-untyped-call]
        finally:
            self._arriving = None

    @contextmanager
    def pipe_or_acquire(self, pipe: Any = None, client: Any = None) -> Iterator[Any]:
        with super().pipe_or_acquire(pipe, client) as commands:
            if self._arriving and (tags := self.channel.unacked_tags_key):
                milliseconds = 1000 * int(self.visibility_timeout + SECONDS_TO_RETURN)
                commands.sadd(tags, self._arriving).pexpire(tags, milliseconds)
            yield commands

    def ack(self, delivery_tag: str) -> None:
        if self.channel.closed:
            left_behind.acknowledge(delivery_tag)
            return
        try:
            super().ack(delivery_tag)  # type: ignore[no-untyped-call]
        except self.channel.connection_errors:
            left_behind.acknowledge(delivery_tag)
            raise

    def forget(self, delivery_tag: str) -> None:
        self._remove_from_indices(delivery_tag).execute()

    def _remove_from_indices(self, delivery_tag: str, pipe: Any = None) -> Any:
        commands = super()._remove_from_indices(delivery_tag, pipe)  # type: ignore[no-untyped-call]
        tags = self.channel.unacked_tags_key
        return commands.srem(tags, delivery_tag) if tags else commands


class Channel(kombu_redis.Channel):
    QoS = QoS
    connection_class_ssl: type[SSLConnection] = redis_tls.Connection
    unacked_tags_key = ""
    from_transport_options: Any = (*kombu_redis.Channel.from_transport_options, "unacked_tags_key")

    _kept_client: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        if asynchronous:
            return super()._create_client(asynchronous=True)  # type: ignore[no-untyped-call]
        if self._kept_client is None or self._kept_client.connection_pool is not self.pool:
            self._kept_client = super()._create_client()  # type: ignore[no-untyped-call]
        return self._kept_client

    def close(self) -> None:
        try:
            super().close()  # type: ignore[no-untyped-call]
        except self.connection_errors:
            # Half closed, it would end the worker when it is closed again: it has no connection any more to be closed
            # with (kombu/transport/redis.py, Channel.close and _connparams). What is left to do needs no broker.
            self.auto_delete_queues.clear()
            super().close()  # type: ignore[no-untyped-call]


class Transport(kombu_redis.Transport):
    Channel = Channel


def install() -> None:
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
