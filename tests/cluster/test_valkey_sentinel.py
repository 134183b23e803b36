"""Valkey behind Sentinel, on Kubernetes, as Redis is there; what the chart has for both is seen there alone."""

from __future__ import annotations

from copy import deepcopy

import pytest

from tests.cluster.redis import ask
from tests.cluster.release import BRIEF, Release
from tests.cluster.test_sentinel import (
    VALUES,
    _well,
    primary,
    test_a_primary_that_leaves_makes_another_one_the_primary_before,
    test_nobody_asked_for_more_than_he_may,
    test_orders_that_are_placed_over_https_are_shipped,
    test_tasks_outlive_a_kill_of_a_replica,
    test_tasks_outlive_a_kill_of_the_primary,
)

__all__ = [
    "_well",
    "test_a_primary_that_leaves_makes_another_one_the_primary_before",
    "test_nobody_asked_for_more_than_he_may",
    "test_orders_that_are_placed_over_https_are_shipped",
    "test_tasks_outlive_a_kill_of_a_replica",
    "test_tasks_outlive_a_kill_of_the_primary",
]
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def release(empty_release: Release) -> Release:
    values = deepcopy(VALUES)
    values["broker"]["kind"] = "valkey"
    empty_release.files += (BRIEF,)
    empty_release.install(values)
    return empty_release


def test_the_broker_is_valkey(release: Release) -> None:
    assert "valkey_version:" in ask(release, "INFO", "server", pod=primary(release))
