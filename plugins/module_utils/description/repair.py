"""Takes out what the schema refused, so that the cross-checks can look at all the rest in the same run."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.description.merge import Values, coalesce, without_nulls
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Path, Problem


def repaired(given: Mapping[str, Any], defaults: Values, problems: Sequence[Problem]) -> tuple[Values, list[Path]]:
    """The given values over the defaults, without what is broken, and the paths that are."""
    broken = [path for problem in problems for path in (problem.path, *problem.uses)]
    sound: Values = copy.deepcopy(dict(given))
    for path in broken:
        remove(sound, path)
    sound = without_nulls(coalesce(sound, defaults))
    for pool in sound["pools"].values():
        pool.setdefault("queues", [])
    return sound, broken


def remove(values: Any, path: Path) -> None:
    """Takes away the value at the path; of a list the whole, so that no index shifts."""
    for key in path[:-1]:
        if isinstance(values, dict) and isinstance(values.get(key), list):
            del values[key]
        if not isinstance(values, dict) or key not in values:
            return
        values = values[key]
    if isinstance(values, dict):
        values.pop(path[-1], None)
