"""celery_ops is taken over by other projects, which have no shop and no config."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.processes import APP_FOLDER

FILES = sorted((APP_FOLDER / "celery_ops").rglob("*.py"))


def imported_by(file: Path) -> set[str]:
    """The packages at the top of what it imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_nothing_of_the_project_around_it_is_imported(file: Path) -> None:
    assert not imported_by(file) & {"shop", "config", "tests", ""}
