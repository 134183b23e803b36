"""Merges descriptions as `helm -f a -f b` does.

Helm v3: cli/values.mergeMaps joins the files, chartutil.CoalesceTables puts them over the chart's values.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

Values = dict[str, Any]


def merge_files(files: Iterable[Values]) -> Values:
    """Later files win; maps merge, everything else replaces, `null` stays to delete a default."""
    merged: Values = {}
    for file in files:
        merged = overlay(merged, file)
    return merged


def overlay(below: Values, above: Values) -> Values:
    merged = dict(below)
    for key, value in above.items():
        lower = merged.get(key)
        merged[key] = (
            overlay(lower, value) if isinstance(lower, dict) and isinstance(value, dict) else copy.deepcopy(value)
        )
    return merged


def coalesce(values: Values, defaults: Values) -> Values:
    """`values` over `defaults`: a `null` removes the default that it names."""
    merged = dict(values)
    for key, default in defaults.items():
        if key not in merged:
            merged[key] = copy.deepcopy(default)
        elif merged[key] is None:
            del merged[key]
        elif isinstance(merged[key], dict) and isinstance(default, dict):
            merged[key] = coalesce(merged[key], default)
    return merged


def without_nulls(values: Values) -> Values:
    """`null` takes away what an earlier file wrote into a map whose keys are free: a pool, a route, a variable."""
    app = values["app"]
    return {
        **values,
        "app": {**app, "env": present(app["env"]), "routes": present(app["routes"])},
        "pools": present(values["pools"]),
    }


def present(values: Values) -> Values:
    return {key: value for key, value in values.items() if value is not None}
