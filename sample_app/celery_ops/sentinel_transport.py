"""kombu's transport for Redis behind Sentinel, whose connections end where nothing can be written any more."""

from __future__ import annotations

import socket
from typing import Any

from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.sentinel import SentinelManagedConnection

from celery_ops import redis_tls, redis_transport

NO_PRIMARY = ("NOREPLICAS", "UNBLOCKED")
"""A primary that its replicas have left, and one that is made a replica while a worker waits for a message."""

DEAD_AFTER = {
    socket.TCP_KEEPIDLE: 2,
    socket.TCP_KEEPINTVL: 1,
    socket.TCP_KEEPCNT: 3,
    socket.TCP_USER_TIMEOUT: 5000,
}
"""A host that is gone without a word is noticed while the Sentinels choose another, also by who waits for a message."""


class Connection(SentinelManagedConnection, redis_tls.Connection):
    """Asks the Sentinels for the primary whenever it connects; redis-py lets it go at `READONLY` alone."""

    def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return super().read_response(*args, **options)
        except ResponseError as error:
            if not str(error).startswith(NO_PRIMARY):
                raise
            self.disconnect()  # type: ignore[no-untyped-call]
            raise RedisConnectionError(f"no primary: {error}") from error


class Channel(redis_transport.Channel, kombu_redis.SentinelChannel):
    connection_class_ssl: Any = Connection
    socket_keepalive_options: Any = DEAD_AFTER
    from_transport_options: Any = (*kombu_redis.SentinelChannel.from_transport_options, "unacked_tags_key")

    def _sentinel_managed_pool(self, asynchronous: bool = False) -> Any:
        pool = super()._sentinel_managed_pool(asynchronous)  # type: ignore[no-untyped-call]
        redis_tls.connect_to_sentinels(self._async_sentinel_manager if asynchronous else self._sentinel_manager)
        return pool


class Transport(kombu_redis.SentinelTransport):
    Channel = Channel


def install() -> None:
    TRANSPORT_ALIASES["sentinel"] = f"{__name__}:Transport"
