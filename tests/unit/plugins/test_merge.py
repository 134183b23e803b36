"""Merging as `helm -f a -f b` does."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.description.merge import coalesce, merge_files, without_nulls

Values = dict[str, Any]


@pytest.mark.parametrize(
    ("files", "merged"),
    [
        ([{"a": 1}, {"a": 2}], {"a": 2}),
        ([{"a": {"x": 1}}, {"a": {"y": 2}}], {"a": {"x": 1, "y": 2}}),
        ([{"a": [1, 2]}, {"a": [3]}], {"a": [3]}),
        ([{"a": {"x": 1}}, {"a": 5}], {"a": 5}),
        ([{"a": 5}, {"a": {"x": 1}}], {"a": {"x": 1}}),
        ([{"a": {"x": 1}}, {"a": None}], {"a": None}),
        ([{"a": {"x": 1}}, {"a": {"x": None}}], {"a": {"x": None}}),
        ([{"a": {"x": None}}, {"a": {"x": 2}}], {"a": {"x": 2}}),
        ([], {}),
    ],
)
def test_files_in_order(files: list[Values], merged: Values) -> None:
    assert merge_files(files) == merged


@pytest.mark.parametrize(
    ("values", "merged"),
    [
        ({}, {"a": {"x": 1, "y": None}, "b": 2}),
        ({"b": None}, {"a": {"x": 1, "y": None}}),
        ({"a": {"x": None}}, {"a": {"y": None}, "b": 2}),
        ({"a": {"y": None}}, {"a": {"x": 1}, "b": 2}),
        ({"a": {"new": None}}, {"a": {"x": 1, "y": None, "new": None}, "b": 2}),
        ({"a": 5}, {"a": 5, "b": 2}),
        ({"b": {"z": 1}}, {"a": {"x": 1, "y": None}, "b": {"z": 1}}),
    ],
)
def test_defaults_below(values: Values, merged: Values) -> None:
    assert coalesce(values, {"a": {"x": 1, "y": None}, "b": 2}) == merged


def test_nothing_that_was_given_is_changed() -> None:
    defaults: Values = {"a": {"list": []}}
    merged = coalesce({}, defaults)
    merged["a"]["list"].append(1)
    first: Values = {"a": {"x": {}}}
    merge_files([first, {"a": {"x": {"y": 1}}}])
    assert defaults == {"a": {"list": []}}
    assert first == {"a": {"x": {}}}


def test_null_takes_away_what_has_a_free_name() -> None:
    values: Values = {
        "app": {"env": {"A": None, "B": 1}, "routes": {"t": None}},
        "pools": {"gone": None, "here": {"grace": None}},
    }
    assert without_nulls(values) == {
        "app": {"env": {"B": 1}, "routes": {}},
        "pools": {"here": {"grace": None}},
    }
