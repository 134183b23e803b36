"""The data of a Redis or Valkey, which the container beside loads from an RDB (files/backup/redis)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ansible_collections.stalk.celery.plugins.module_utils.broker.resp import RedisRefused
from redis import ConnectionError, Redis
from redis.exceptions import BusyLoadingError, RedisError
from redis_node import DATABASES, Entry

RUN = Path("/run/stalk")
RDB, SOCKET, ENDED = RUN / "broker.rdb", RUN / "redis.sock", RUN / "redis.ended"


def server(database: int) -> Redis:
    return Redis(unix_socket_path=str(SOCKET), db=database)


def begin() -> IO[bytes]:
    """Where the RDB is written, which `load` gives to it."""
    return RDB.with_suffix(".new").open("wb")


def load() -> None:
    RDB.with_suffix(".new").rename(RDB)
    while not is_loaded():
        if ENDED.exists():
            raise RedisRefused(f"what the backup has of it cannot be loaded: {ENDED.read_text().strip()}")
        time.sleep(0.2)


def is_loaded() -> bool:
    try:
        return bool(SOCKET.exists() and server(DATABASES[0]).ping())
    except (BusyLoadingError, ConnectionError):
        return False


def entries() -> Iterator[Entry]:
    for database in DATABASES:
        client = server(database)
        try:
            for key in client.scan_iter(count=1000):
                content = client.dump(key)
                if content is not None:
                    yield Entry(database, key, content, max(client.pexpiretime(key), 0))
        except RedisError as error:
            raise RedisRefused(f"its copy cannot be read any more ({error})") from None
