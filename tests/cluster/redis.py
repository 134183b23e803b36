"""What tests ask Redis, Valkey and Sentinel, as the operator in one of their pods."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from resources.redis_shortage import LITTLE_MEMORY, MEMORY_ERROR

from tests.cluster.release import Release


def ask(release: Release, *command: str, pod: str = "shop-redis-0", container: str = "redis") -> str:
    return release.execute(pod, "/etc/stalk/redis/ask", *command, container=container)


@contextmanager
def little_memory(release: Release, pod: str = "shop-redis-0") -> Iterator[str]:
    """It may use less than it does; gives what it says to who sends."""
    limit = ask(release, "CONFIG", "GET", "maxmemory", pod=pod).split()[-1]
    ask(release, "CONFIG", "SET", "maxmemory", LITTLE_MEMORY, pod=pod)
    try:
        yield MEMORY_ERROR
    finally:
        ask(release, "CONFIG", "SET", "maxmemory", limit, pod=pod)
