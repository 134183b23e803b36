"""Descriptions that chance has spoilt."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.description.chart import chart_defaults

ODD: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2.5, 10**12, "", "x", "ä" * 300, "30d", " 4", "no", "\n", "a\u2028\x07\u00ad\"'\\ {path}", [],
    [None], ["a", "a"], [[]], {}, {"a": None}, {"": {}}, {"queues": ["x"]}, {"env": {"A_KEY": "v"}}, {"servers": None},
    {"kind": "oauth", "secret": "DATABASE_PASSWORD", "emails": "a@b"}, {"min": 5, "max": 3}, {"DATABASE_URL": "x"},
    ["DATABASE_URL", "PGSSLKEY", "A"], "external", "gevent", "solo", "auto", "hpa", {"*": "celry"}, 7200,
)  # fmt: skip


def with_mistakes(seed: int) -> dict[str, Any]:
    """The defaults and a second pool, in one to six places misspelt or with something odd."""
    chance = random.Random(seed)
    values = copy.deepcopy(chart_defaults())
    values["pools"]["second"] = {**copy.deepcopy(values["pool_defaults"]), "queues": ["second"]}
    for path in chance.sample(list(places(values)), k=chance.randint(1, 6)):
        above: Any = values
        for key in path[:-1]:
            above = above.get(key) if isinstance(above, dict) else None
        if isinstance(above, dict):
            above[chance.choice((path[-1], path[-1], path[-1], f"{path[-1]}s"))] = chance.choice(ODD)
    return values


def places(values: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in values.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from places(value, (*path, key))
