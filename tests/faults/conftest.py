"""Faults on servers or on Kubernetes; `make faults` shows the table of what they did."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from resources.deployment import Deployment
from resources.effects import Effects
from resources.reporting import (
    pytest_collection_finish,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_unconfigure,
)

from .here import HERE
from .outcome import Row, table
from .plain import Plain
from .plot import plot

__all__ = ["pytest_collection_finish", "pytest_collection_modifyitems", "pytest_configure", "pytest_unconfigure"]

BUILD = Path(__file__).resolve().parents[2] / "build" / "faults"
ROWS = pytest.StashKey[list[Row]]()


@pytest.fixture(scope="session")
def target() -> Iterator[Effects]:
    with HERE.deployed() as target:
        yield target


@pytest.fixture(scope="session")
def plain(target: Effects) -> Iterator[Plain | None]:
    """The plain set-up; only `make faults` has it, on servers."""
    if not (isinstance(target, Deployment) and target.scenario.name == "faults"):
        yield None
        return
    plain = Plain()
    # A run that was interrupted left its own.
    plain.destroy()
    plain.create()
    yield plain
    plain.destroy()


@pytest.fixture(scope="session")
def told(request: pytest.FixtureRequest) -> list[Row]:
    """What the table and the plot show."""
    return request.config.stash.setdefault(ROWS, [])


@pytest.fixture(scope="session")
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Writes a line to the terminal while tests run."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def say(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(line, flush=True)

    return say


def pytest_terminal_summary(config: pytest.Config) -> None:
    rows: list[Row] = config.stash.setdefault(ROWS, [])
    if rows:
        BUILD.mkdir(parents=True, exist_ok=True)
        (BUILD / f"{HERE.name}.txt").write_text("\n".join(table(rows)) + "\n")
        (BUILD / f"{HERE.name}.svg").write_text(plot(rows))
