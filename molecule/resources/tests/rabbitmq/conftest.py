"""What the tests of RabbitMQ share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from resources.deployment import Deployment, Server


@pytest.fixture
def idle(deployment: Deployment) -> Iterator[Server]:
    """The pool `reports` takes nothing."""
    server, unit = deployment.first("worker"), f"{deployment.app}-worker@reports.service"
    server.run("systemctl", "stop", unit)
    yield server
    server.run("systemctl", "start", unit)
