"""What tests ask Redis, Valkey and Sentinel, as the operator in one of their pods."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster.release import Release


def ask(release: Release, *command: str, pod: str = "shop-redis-0", container: str = "redis") -> str:
    return release.execute(pod, "/etc/stalk/redis/ask", *command, container=container)


@contextmanager
def little_memory(release: Release, pod: str = "shop-redis-0") -> Iterator[str]:
    """It may use less than it does; gives what it says to who sends."""
    limit = ask(release, "CONFIG", "GET", "maxmemory", pod=pod).split()[-1]
    ask(release, "CONFIG", "SET", "maxmemory", "1mb", pod=pod)
    try:
        yield "used memory > 'maxmemory'"
    finally:
        ask(release, "CONFIG", "SET", "maxmemory", limit, pod=pod)


def evicted(release: Release, pod: str = "shop-redis-0") -> str:
    return next(line for line in ask(release, "INFO", "stats", pod=pod).split() if line.startswith("evicted_keys:"))
