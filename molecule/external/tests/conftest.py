"""The host of somebody else's brokers."""

from __future__ import annotations

import pytest
from resources.deployment import Deployment, Server


@pytest.fixture(scope="session")
def managed(deployment: Deployment) -> Server:
    return deployment.first("managed")
