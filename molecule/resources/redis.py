"""What the operator of a server's Redis or Valkey asks and sets, through its socket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from resources.deployment import Deployment, Server
from resources.redis_shortage import LITTLE_MEMORY, MEMORY_ERROR


def operate(deployment: Deployment, server: Server, *command: str) -> str:
    app, cli = deployment.app, f"{deployment.broker_kind}-cli"
    password = f"REDISCLI_AUTH=$(cat /run/{app}-redis-operator)"
    ask = f'{password} timeout 5 {cli} -s /run/{app}-redis/redis.sock --user operator --no-auth-warning "$@"'
    return server.run("sh", "-c", ask, "sh", *command)


@contextmanager
def little_memory(deployment: Deployment, server: Server) -> Iterator[str]:
    """It may use less than it does; gives what it says to who sends."""
    operate(deployment, server, "CONFIG", "SET", "maxmemory", LITTLE_MEMORY)
    try:
        yield MEMORY_ERROR
    finally:
        server.run("systemctl", "reload", f"{deployment.app}-redis.service")
