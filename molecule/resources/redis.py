"""What the operator of a server's Redis or Valkey asks and sets, through its socket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from resources.deployment import Deployment, Server


def operate(deployment: Deployment, server: Server, *command: str) -> str:
    app, cli = deployment.app, f"{deployment.broker_kind}-cli"
    ask = f'REDISCLI_AUTH=$(cat /run/{app}-redis-operator) {cli} -s /run/{app}-redis/redis.sock "$@"'
    return server.run("sh", "-c", ask, "sh", "--user", "operator", *command)


def evicted(deployment: Deployment, server: Server) -> str:
    lines = operate(deployment, server, "INFO", "stats").split()
    return next(line for line in lines if line.startswith("evicted_keys:"))


@contextmanager
def little_memory(deployment: Deployment, server: Server) -> Iterator[tuple[str, str]]:
    """It may use less than it does; gives what it says to who sends, and what `status` says."""
    operate(deployment, server, "CONFIG", "SET", "maxmemory", "1mb")
    try:
        yield "used memory > 'maxmemory'", "of its memory is used"
    finally:
        server.run("systemctl", "reload", f"{deployment.app}-redis.service")
