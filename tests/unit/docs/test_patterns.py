"""Every pattern in docs/patterns.md leads to code and to a test of that name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ROW = re.compile(r"^\| (?!pattern \|)(?P<pattern>[^|]+) \| (?P<code>[^|]+) \| (?P<test>[^|]+) \|$", re.MULTILINE)
LINK = re.compile(r"\[`([^`]+)`\]\(\.\./([^)]+)\)")
ROWS = [match.groups() for match in ROW.finditer((ROOT / "docs/patterns.md").read_text())]


def names_in(cell: str) -> list[tuple[str, str]]:
    """The name and the text of the file of each link."""
    return [(name, (ROOT / path).read_text()) for name, path in LINK.findall(cell)]


def test_there_are_patterns() -> None:
    assert len(ROWS) >= 45
    assert len({pattern for pattern, _, _ in ROWS}) == len(ROWS), "one is there twice"


@pytest.mark.parametrize(("pattern", "code", "test"), ROWS, ids=[pattern for pattern, _, _ in ROWS])
def test_a_pattern_leads_to_its_code_and_to_its_test(pattern: str, code: str, test: str) -> None:
    assert names_in(code), "no link to code"
    assert all(name in text for name, text in names_in(code))
    assert names_in(test), "no link to a test"
    assert all(f"\ndef {name}(" in text for name, text in names_in(test))
