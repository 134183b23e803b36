"""What the tests of RabbitMQ share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from resources.deployment import Deployment, Server
from resources.prometheus import prometheus


@pytest.fixture
def idle(deployment: Deployment) -> Iterator[Server]:
    """The pool `reports` takes nothing."""
    server, unit = deployment.first("worker"), f"{deployment.app}-worker@reports.service"
    server.run("systemctl", "stop", unit)
    yield server
    server.run("systemctl", "start", unit)


@pytest.fixture(scope="session")
def alerts(deployment: Deployment) -> Iterator[Callable[[], set[str]]]:
    """What tells the alerts of a Prometheus."""
    with prometheus(deployment) as raised:
        yield raised
