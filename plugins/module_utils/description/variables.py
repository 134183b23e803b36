"""Refuses variables that Stalk sets itself, and secrets that are not the app's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.description.chart import chart_words
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Path, Problem
from ansible_collections.stalk.celery.plugins.module_utils.description.sayings import refusal
from ansible_collections.stalk.celery.plugins.module_utils.description.stated_variables import stated_variables

RULES = chart_words("rules")["variables"]
SET_BY_STALK: Mapping[str, str] = RULES["set_by_stalk"]
LIBPQ: list[str] = RULES["libpq"]
ENCRYPTED: list[str] = RULES["encrypted"]
KIND: Path = ("database", "kind")


def variable_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    external = values["database"]["kind"] == "external"
    secrets = values["app"]["secrets"]
    for variable in stated_variables(values):
        yield from name_problems(variable.path, variable.name, secrets, external)
    for index, name in enumerate(secrets):
        yield from secret_problems(("app", "secrets", index), name, values["flower"]["auth"]["secret"], external)
    if external:
        yield from encryption_problems(values)


def name_problems(path: Path, name: str, secrets: list[str], external: bool) -> Iterator[Problem]:
    if name == "REMAP_SIGTERM":
        yield refusal("drops_tasks", path)
    elif name in SET_BY_STALK and not (external and name in LIBPQ):
        saying = "variable_of_stalk" if SET_BY_STALK[name] else "variable_of_stalk_alone"
        yield refusal(saying, path, *([KIND] if name in LIBPQ else []), key=SET_BY_STALK[name])
    elif name in secrets:
        yield refusal("variable_and_secret", path)


def secret_problems(path: Path, name: str, flower_users: str, external: bool) -> Iterator[Problem]:
    """A secret that the app gets from Stalk anyway, or must not get."""
    if name == "DJANGO_SECRET_KEY" or (name == "DATABASE_URL" and external):
        return
    if name == "DATABASE_URL":
        yield refusal("secret_database_made", path, name=name)
    elif external and name in LIBPQ:
        yield refusal("secret_of_libpq", path, name=name)
    elif name in SET_BY_STALK:
        yield refusal("secret_of_stalk", path, *([KIND] if name in LIBPQ else []), name=name)
    elif name == flower_users or is_for_stalk(name):
        yield refusal("secret_generated", path, name=name)


def is_of_stalk(name: str) -> bool:
    """Whether Stalk sets what is named so, or makes it for itself."""
    return name in SET_BY_STALK or is_for_stalk(name)


def is_for_stalk(name: str) -> bool:
    return bool(re.fullmatch(RULES["generated"], name))


def encryption_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    """libpq takes the sslmode of the address before that of PGSSLMODE, and plain text when nothing forbids it."""
    for variable in stated_variables(values):
        if variable.name == "PGSSLMODE" and variable.value not in (None, *ENCRYPTED):
            yield refusal("plain_text_database", variable.path, encrypted=", ".join(ENCRYPTED))
    stated = values["app"]["env"]
    for name, absent in (("PGSSLCERT", "PGSSLKEY"), ("PGSSLKEY", "PGSSLCERT")):
        if name in stated and absent not in stated:
            yield refusal("certificate_alone", ("app", "env", name), absent=absent)
