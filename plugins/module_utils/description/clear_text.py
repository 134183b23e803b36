"""Finds secrets written where everybody can read them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.description.chart import chart_words
from ansible_collections.stalk.celery.plugins.module_utils.description.merge import present
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Path, Problem
from ansible_collections.stalk.celery.plugins.module_utils.description.sayings import refusal

RULES = chart_words("rules")["clear_text"]
PRIVATE: list[str] = RULES["private"]


def matches(kind: str, text: str) -> bool:
    """Whether the text is of the kind that rules.yaml describes."""
    return any(re.search(pattern, text, re.ASCII) for pattern in RULES[kind])


def holds_secret(value: str) -> bool:
    return matches("value", value)


def names_secret(name: str, value: Any) -> bool:
    harmless = not isinstance(value, str) or matches("harmless_value", value) or matches("harmless_name", name.upper())
    return not harmless and matches("name", name.upper())


def environments(values: Mapping[str, Any]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Every map of plain variables, with its path."""
    yield ("app", "env"), values["app"]["env"]
    yield ("pool_defaults", "env"), present(values["pool_defaults"]["env"])
    for name, pool in values["pools"].items():
        yield ("pools", name, "env"), present(pool.get("env", {}))


def clear_text_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    for path, environment in environments(values):
        for name, value in environment.items():
            if isinstance(value, str) and holds_secret(value):
                yield refusal("secret_value", (*path, name), name=name)
            elif names_secret(name, value):
                yield refusal("secret_name", (*path, name), name=name)
