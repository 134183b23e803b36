"""What the tests of all scenarios share."""

from __future__ import annotations

import pytest
from resources.deployment import Deployment
from resources.reporting import pytest_collection_finish, pytest_configure, pytest_unconfigure

__all__ = ["pytest_collection_finish", "pytest_configure", "pytest_unconfigure"]


@pytest.fixture(scope="session")
def deployment() -> Deployment:
    return Deployment()
