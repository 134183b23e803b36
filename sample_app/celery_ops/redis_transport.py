"""kombu's Redis transport, which keeps its client.

kombu builds a client of redis-py for each publish, each delivery and each acknowledgement, and redis-py copies a
table of 170 callbacks into each: a sixth of what a worker's main process does for a task, and an eighth of a publish
(kombu/transport/redis.py, conn_or_acquire; redis/client.py, CaseInsensitiveDict; kombu 5.7.0, redis-py 8.1.0).
A client on a pool has no state of its own, so one serves all threads.
"""

from __future__ import annotations

from typing import Any

from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis


class Channel(kombu_redis.Channel):
    _kept_client: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        if asynchronous:
            return super()._create_client(asynchronous=True)  # type: ignore[no-untyped-call]
        if self._kept_client is None or self._kept_client.connection_pool is not self.pool:
            self._kept_client = super()._create_client()  # type: ignore[no-untyped-call]
        return self._kept_client


class Transport(kombu_redis.Transport):
    Channel = Channel


def install() -> None:
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
