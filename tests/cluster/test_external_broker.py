"""The chart with a Redis that somebody else provides."""

from __future__ import annotations

import pytest
from resources.waiting import wait_for
from storefront import watch

from tests.cluster.desk import Desk
from tests.cluster.external_redis import VALUES_FOR_IT, provide
from tests.cluster.ledger import once
from tests.cluster.release import BRIEF, Release

ORDERS = 10
SECONDS_TO_SCALE = 180


@pytest.fixture(scope="module")
def release(empty_release: Release) -> Release:
    provide(empty_release)
    empty_release.files += (BRIEF,)
    scaled = {"scale": {"min": 0, "max": 2, "queue_length": 5}}
    empty_release.install({"broker": VALUES_FOR_IT, "pools": {"default": scaled}, "flower": {"enabled": True}})
    # A lull of a second is long enough for the test.
    change = '{"spec": {"cooldownPeriod": 1}}'
    empty_release.kubectl("patch", "scaledobject", "shop-worker-default", "--type=merge", f"--patch={change}")
    return empty_release


def test_the_chart_starts_no_redis(release: Release) -> None:
    assert release.pods("redis") == []
    assert "shop-redis" not in {made["metadata"]["name"] for made in release.get("secrets,services")}


def test_keda_ends_the_last_worker_and_starts_one_for_orders(release: Release) -> None:
    wait_for("no worker is left", lambda: not release.pods("worker", "default"), SECONDS_TO_SCALE)
    with release.shop() as shop:
        assert watch(shop, shop.place_orders(ORDERS))["shipped"] == ORDERS


def test_a_task_that_is_sent_later_takes_effect_once(release: Release, desk: Desk) -> None:
    keys = desk.send("later", 5, 0)
    assert once(release.all_effects(keys, SECONDS_TO_SCALE))
