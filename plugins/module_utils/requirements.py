"""What the requirements of a project must bring for each part of a stack, and the versions that Stalk relies on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, DistributionFinder, MetadataPathFinder
from pathlib import Path

ALWAYS = "always"
ANY = ""
NEEDED: dict[str, dict[str, str]] = {
    ALWAYS: {
        "django": "4.2",
        "celery": "5.7",
        "kombu": "5.7",
        "redis": "6.4",
        # kombu 5.7's Redis transport imports it and does not declare it.
        "packaging": ANY,
        "psycopg": "3.1.8",
    },
    "web": {"gunicorn": "25.1"},
    "beat": {"django-celery-beat": ANY},
    "flower": {"flower": "2.2"},
    "gevent": {"gevent": ANY},
    "results": {"django-celery-results": ANY},
}
"""Part of the stack to distribution to its least version; `results` are those in the database."""


def lacking(installed: Mapping[str, str], parts: Iterable[str]) -> list[str]:
    """Lines for requirements.txt, each with what is there instead."""
    wanted = {name: least for part in (ALWAYS, *parts) for name, least in NEEDED.get(part, {}).items()}
    return [
        f"{requirement(name, least)} ({installed.get(name, 'nothing')} is installed)"
        for name, least in wanted.items()
        if name not in installed or release_numbers(installed[name]) < release_numbers(least)
    ]


def requirement(name: str, least: str) -> str:
    """As requirements.txt has it."""
    return f"{name}>={least}" if least else name


def release_numbers(version: str) -> tuple[int, ...]:
    """1.2.0 and 1.2 are the same; what follows the numbers (rc1, .dev0, +local) is left out."""
    found = re.match(r"(?:\d+!)?(\d+(?:\.\d+)*)", version)
    numbers = [int(number) for number in found[1].split(".")] if found else []
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def installed_versions(packages: Path) -> dict[str, str]:
    """Versions of those of the distributions that Stalk asks about, in a folder of packages."""
    names = {name for part in NEEDED.values() for name in part}
    found = {name: _distribution(name, packages) for name in names}
    return {name: distribution.version for name, distribution in found.items() if distribution}


def _distribution(name: str, packages: Path) -> Distribution | None:
    context = DistributionFinder.Context(name=name, path=[str(packages)])
    return next(iter(MetadataPathFinder.find_distributions(context)), None)
