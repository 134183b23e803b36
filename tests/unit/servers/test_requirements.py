"""What the requirements of a project lack."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.requirements import (
    ALWAYS,
    NEEDED,
    installed_versions,
    lacking,
    release_numbers,
    requirement,
)

ROOT = Path(__file__).parents[3]
GOOD = {"django": "5.2.1", "celery": "5.7.0", "kombu": "5.7.0", "redis": "8.1", "packaging": "26", "psycopg": "3.2"}


def test_what_is_needed_is_enough() -> None:
    assert lacking(GOOD, []) == []


def test_what_is_old_or_absent_is_named_as_the_line_to_add() -> None:
    assert lacking({**GOOD, "celery": "5.6.3"}, ["web", "gevent"]) == [
        "celery>=5.7 (5.6.3 is installed)",
        "gunicorn>=25.1 (nothing is installed)",
        "gevent (nothing is installed)",
    ]


@pytest.mark.parametrize(
    ("version", "numbers"),
    [("5.7", (5, 7)), ("5.7.0", (5, 7)), ("5.10.1rc1", (5, 10, 1)), ("1!2.3+local", (2, 3)), ("26.3.dev0", (26, 3))],
)
def test_versions_are_compared_by_their_numbers(version: str, numbers: tuple[int, ...]) -> None:
    assert release_numbers(version) == numbers


def test_versions_are_read_from_the_folder_of_packages_whatever_the_spelling(tmp_path: Path) -> None:
    for name, version in (("django_celery_beat", "2.9.0"), ("Django", "5.2.19"), ("unrelated", "1")):
        folder = tmp_path / f"{name}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    assert installed_versions(tmp_path) == {"django-celery-beat": "2.9.0", "django": "5.2.19"}


def test_the_contract_lists_the_same_requirements() -> None:
    section = (ROOT / "docs/contract.md").read_text().partition("## Requirements")[2].partition("\n## ")[0]
    table = dict(re.findall(r"^\| (.+?) \| ((?:`[^`]+`,? ?)+) \|$", section, re.MULTILINE))
    written = {part: re.findall(r"`([^`]+)`", lines) for part, lines in table.items()}
    titles = {ALWAYS: "always", "results": "`results.kind: database`", "gevent": "a pool with `pool: gevent`"}
    assert written == {
        titles.get(part, f"`{part}`"): [requirement(name, least) for name, least in lines.items()]
        for part, lines in NEEDED.items()
    }
