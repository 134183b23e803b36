"""The combination of broker, topology and target that a test ran on; tools/cells.py makes a table of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

NAMES = {"redis": "Redis", "valkey": "Valkey", "rabbitmq": "RabbitMQ"}
TELL_VERSION = {
    "redis": "redis-server --version",
    "valkey": "valkey-server --version",
    "rabbitmq": "PATH=/usr/lib/rabbitmq/bin:/opt/rabbitmq/sbin:$PATH rabbitmqctl version",
}


def cell_of(broker: Mapping[str, Any], target: str, ask_broker: Callable[[str], str]) -> str:
    """`Redis 7.0.15 | single | Debian 12`; `ask_broker` runs a line of shell where the broker is."""
    kind = broker.get("kind") or "redis"
    if kind == "external":
        return f"{NAMES[broker.get('external') or 'redis']} | external | {target}"
    version = re.search(r"\d+[.]\d+[.]\d+", ask_broker(TELL_VERSION[kind]))
    assert version, f"{kind} tells no version"
    return f"{NAMES[kind]} {version[0]} | {broker.get('topology') or 'single'} | {target}"


def mark(request: pytest.FixtureRequest, cell: str) -> None:
    """Writes it into the test's entry of the report."""
    request.node.user_properties.append(("cell", cell))
