"""Hooks of pytest: the least number of tests of each folder, and one report of several runs.

Molecule calls a wrong or empty folder of tests successful, and runs pytest once for each folder.
"""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

import pytest

LEAST = {
    "fresh_server": 1,
    "every_deployment": 55,
    "redis": 20,
    "rabbitmq": 37,
    "backups": 2,
    "faults": 5,
    "browser": 13,
    "default/tests": 20,
    "sentinel/tests": 7,
    "spread/tests": 17,
    "external/tests": 19,
    "valkey/tests": 3,
    "rabbitmq-cluster/tests": 11,
    "switch/tests": 5,
    "switch-sentinel/tests": 2,
}

FILES = pytest.StashKey[set[Path]]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Writes the report beside STALK_JUNIT, which holds that of the runs before."""
    if junit := os.environ.get("STALK_JUNIT"):
        config.option.xmlpath = f"{junit}.part"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> None:
    """Before the long ones are left out, with which a file may go."""
    session.stash[FILES] = {item.path for item in items}


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fails a run of all files of a folder that collects too few tests."""
    if session.config.option.keyword or any("::" in argument for argument in session.config.args):
        return
    collected = Counter(item.path.parent for item in session.items)
    for folder, count in collected.items():
        least = next(least for name, least in LEAST.items() if str(folder).endswith(f"/{name}"))
        if session.stash[FILES] >= set(folder.glob("test_*.py")) and count < least:
            pytest.exit(f"{folder}: {count} tests were collected, at least {least} are expected", 1)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A folder of long tests alone is none that is empty."""
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and session.stash.get(FILES, None):
        session.exitstatus = pytest.ExitCode.OK


def pytest_unconfigure(config: pytest.Config) -> None:
    """Adds this run's report to the one of the runs before."""
    junit = os.environ.get("STALK_JUNIT")
    whole, part = Path(f"{junit}"), Path(f"{junit}.part")
    if not junit or not part.exists():
        return
    if whole.exists():
        tree = ElementTree.parse(whole)
        tree.getroot().extend(ElementTree.parse(part).getroot())
        tree.write(whole, encoding="utf-8", xml_declaration=True)
        part.unlink()
    else:
        part.rename(whole)
