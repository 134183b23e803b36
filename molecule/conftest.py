"""Fixtures of all scenarios, the least number of tests of each folder, and one report for several runs of pytest."""

from __future__ import annotations

import os
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "tools"))

from resources.deployment import Deployment  # noqa: E402

LEAST = {"fresh_server": 1, "every_deployment": 20, "default/tests": 12, "spread/tests": 4}


@pytest.fixture(scope="session")
def deployment() -> Deployment:
    return Deployment()


def pytest_configure(config: pytest.Config) -> None:
    """Writes the report beside STALK_JUNIT, which holds that of the runs before."""
    if junit := os.environ.get("STALK_JUNIT"):
        config.option.xmlpath = f"{junit}.part"


def pytest_collection_finish(session: pytest.Session) -> None:
    folders = {str(Path(str(item.path)).parent) for item in session.items}
    collected = Counter(str(Path(str(item.path)).parent) for item in session.items)
    for folder in folders:
        name = next(name for name in LEAST if folder.endswith(name))
        if collected[folder] < LEAST[name]:
            pytest.exit(f"{name}: {collected[folder]} tests were collected, at least {LEAST[name]} are expected", 1)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Adds this run's report to the one of the runs before."""
    whole = Path(os.environ.get("STALK_JUNIT", ""))
    part = Path(f"{whole}.part")
    if not os.environ.get("STALK_JUNIT") or not part.exists():
        return
    if whole.exists():
        tree = ElementTree.parse(whole)
        tree.getroot().extend(ElementTree.parse(part).getroot())
        tree.write(whole, encoding="utf-8", xml_declaration=True)
        part.unlink()
    else:
        part.rename(whole)
