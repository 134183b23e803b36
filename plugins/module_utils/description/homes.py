"""Finds where in a description a key is at home that was written elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Path, dotted

Schema = Mapping[str, Any]


def homes_of(path: Path, schema: Schema) -> list[str]:
    """Paths with the same last key, those first that begin as the path does, then those that every target reads."""

    def rank(home: Path) -> tuple[int, bool, str]:
        return -shared(home, path), "kubernetes" in home, dotted(home)

    homes = [home for home in all_keys(schema, schema, ()) if home[-1] == path[-1]]
    return [dotted(home) for home in sorted(homes, key=rank)]


def shared(one: Path, other: Path) -> int:
    """How many keys two paths share from the top."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def all_keys(part: Schema, root: Schema, path: Path) -> Iterator[Path]:
    part = resolved(part, root)
    for key, below in part.get("properties", {}).items():
        yield (*path, key)
        yield from all_keys(below, root, (*path, key))
    below = part.get("additionalProperties")
    if isinstance(below, dict):
        yield from all_keys(below, root, (*path, "NAME"))


def resolved(part: Schema, root: Schema) -> Schema:
    reference = part.get("$ref")
    return {**root["$defs"][reference.rsplit("/", 1)[1]], **part} if reference else part
