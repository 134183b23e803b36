"""The chart with Valkey in Redis' place, by one word of the description."""

from __future__ import annotations

import pytest
from cluster import ClusterFailed
from resources.effects import once
from resources.waiting import wait_for
from storefront import watch

from tests.cluster.desk import Desk
from tests.cluster.ledger import until_all_run
from tests.cluster.redis import ask
from tests.cluster.release import BRIEF, Release, name_of

ORDERS = 5
MOST = 2
SECONDS_TO_SCALE = 180
SCALED = {"concurrency": 1, "scale": {"min": 1, "max": MOST, "queue_length": 1}}
VALUES = {"broker": {"kind": "valkey"}, "pools": {"default": SCALED}}


# What is Valkey's own on both targets is seen by the scenario `valkey`, of Redis' templates by the tests of Redis.
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def release(empty_release: Release) -> Release:
    empty_release.files += (BRIEF,)
    empty_release.install(VALUES)
    return empty_release


def workers(release: Release) -> set[str]:
    return {name_of(pod) for pod in release.pods("worker", "default")}


def test_valkey_carries_orders_that_are_placed_over_https(release: Release) -> None:
    assert "valkey_version:" in ask(release, "INFO", "server")
    with release.shop() as shop:
        assert watch(shop, shop.place_orders(ORDERS))["shipped"] == ORDERS


def test_keda_scales_by_valkeys_queues_and_by_what_runs(release: Release, desk: Desk) -> None:
    keys = desk.send("burst", 2 * MOST, 20)
    wait_for("as many workers as may be", lambda: len(workers(release)) == MOST, SECONDS_TO_SCALE)
    assert once(release.all_effects(keys, SECONDS_TO_SCALE))


def test_redis_does_not_begin_empty_while_valkey_has_messages(release: Release, desk: Desk) -> None:
    keys = desk.send("held", MOST, 40)
    until_all_run(release, keys)
    with pytest.raises(ClusterFailed, match=r"broker[.]kind: redis would begin empty, and leave what valkey has "):
        release.upgrade({**VALUES, "broker": {"kind": "redis"}})
    assert once(release.all_effects(keys, SECONDS_TO_SCALE))


def test_nobody_asked_for_more_than_he_may(release: Release) -> None:
    assert not ask(release, "ACL", "LOG").strip()


def test_redis_begins_in_valkeys_volume_once_that_is_drained(release: Release, desk: Desk) -> None:
    release.upgrade({**VALUES, "broker": {"kind": "redis"}})
    assert "valkey_version:" not in ask(release, "INFO", "server")
    assert once(release.all_effects(desk.send("after", 3), SECONDS_TO_SCALE))
