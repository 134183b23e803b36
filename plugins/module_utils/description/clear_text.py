"""Finds secrets written where everybody can read them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.description.chart import chart_words
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Problem
from ansible_collections.stalk.celery.plugins.module_utils.description.sayings import refusal
from ansible_collections.stalk.celery.plugins.module_utils.description.stated_variables import stated_variables

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


def clear_text_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    for variable in stated_variables(values):
        if isinstance(variable.value, str) and holds_secret(variable.value):
            yield refusal("secret_value", variable.path, name=variable.name)
        elif names_secret(variable.name, variable.value):
            yield refusal("secret_name", variable.path, name=variable.name)
