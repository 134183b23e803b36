"""Lists the plain variables of a description, wherever they are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.description.chart import chart_words
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import ANY, Path

RULES = chart_words("rules")["variables"]


@dataclass(frozen=True)
class Variable:
    """A variable and its path; the value is None where Kubernetes takes it from elsewhere."""

    path: Path
    name: str
    value: Any


def stated_variables(values: Mapping[str, Any]) -> Iterator[Variable]:
    for path, environment in parts(values, RULES["maps"]):
        for name, value in environment.items():
            if value is not None:
                yield Variable((*path, name), name, value)
    for path, options in parts(values, RULES["pods"]):
        for index, entry in enumerate(options.get("extraEnv") or ()):
            if isinstance(entry.get("name"), str):
                yield Variable((*path, "extraEnv", index), entry["name"], entry.get("value"))


def parts(values: Mapping[str, Any], places: list[str]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """The maps at these places, with their paths."""
    for place in places:
        for pool in values["pools"] if ANY in place else [""]:
            path = tuple(pool if key == ANY else key for key in place.split("."))
            part: Any = values
            for key in path:
                part = part.get(key) or {}
            yield path, part
