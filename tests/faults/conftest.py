"""Faults on what a Molecule scenario deployed; `make faults` shows the table of what they did."""

from __future__ import annotations

from pathlib import Path

import pytest
from resources.deployment import Deployment
from resources.reporting import pytest_configure, pytest_unconfigure

from .outcome import Outcome, table

__all__ = ["pytest_configure", "pytest_unconfigure"]

TABLE = Path(__file__).resolve().parents[2] / "build" / "faults" / "servers.txt"
OUTCOMES = pytest.StashKey[list[Outcome]]()


@pytest.fixture(scope="session")
def deployment() -> Deployment:
    return Deployment()


@pytest.fixture(scope="session")
def told(request: pytest.FixtureRequest) -> list[Outcome]:
    """What the table shows."""
    return request.config.stash.setdefault(OUTCOMES, [])


def pytest_terminal_summary(config: pytest.Config) -> None:
    outcomes: list[Outcome] = config.stash.setdefault(OUTCOMES, [])
    if outcomes:
        TABLE.parent.mkdir(parents=True, exist_ok=True)
        TABLE.write_text("\n".join(table(outcomes)) + "\n")
