"""What the tests of all scenarios share."""

from __future__ import annotations

from pathlib import Path

import pytest
from resources.cell import mark
from resources.deployment import Deployment
from resources.reporting import (
    pytest_collection_finish,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_sessionfinish,
    pytest_unconfigure,
)

__all__ = [
    "pytest_collection_finish",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_sessionfinish",
    "pytest_unconfigure",
]


@pytest.fixture(scope="session")
def deployment() -> Deployment:
    return Deployment()


@pytest.fixture(autouse=True)
def cell(request: pytest.FixtureRequest, deployment: Deployment) -> None:
    # On a fresh server there is no broker yet, and the scenarios that switch have several.
    if Path(request.path).parent.name != "fresh_server" and "switch" not in deployment.scenario.name:
        mark(request, deployment.cell)
