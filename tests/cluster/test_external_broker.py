"""The chart with a Redis that somebody else provides."""

from __future__ import annotations

from typing import Any

import pytest
from cluster import ClusterFailed
from resources.effects import once
from resources.waiting import wait_for
from storefront import watch

from tests.cluster.desk import Desk
from tests.cluster.external_redis import VALUES_FOR_IT, provide
from tests.cluster.release import BRIEF, Release

ORDERS = 10
SECONDS_TO_SCALE = 180
VALUES: dict[str, Any] = {
    "broker": VALUES_FOR_IT,
    "pools": {"default": {"scale": {"min": 0, "max": 2, "queue_length": 5}}},
    "flower": {"enabled": True},
}


@pytest.fixture(scope="module")
def release(empty_release: Release) -> Release:
    provide(empty_release)
    empty_release.files += (BRIEF,)
    empty_release.install(VALUES)
    empty_release.shorten_lull(cooldownPeriod=1)
    return empty_release


def until_no_worker_is_left(release: Release) -> None:
    wait_for("no worker is left", lambda: not release.pods("worker", "default"), SECONDS_TO_SCALE)


def test_the_chart_starts_no_redis(release: Release) -> None:
    assert release.pods("redis") == []
    assert "shop-redis" not in {made["metadata"]["name"] for made in release.get("secrets,services")}


def test_keda_ends_the_last_worker_and_starts_one_for_orders(release: Release) -> None:
    until_no_worker_is_left(release)
    with release.shop() as shop:
        assert watch(shop, shop.place_orders(ORDERS))["shipped"] == ORDERS


def test_a_task_that_is_sent_later_takes_effect_once(release: Release, desk: Desk) -> None:
    keys = desk.send("later", 5, 0)
    assert once(release.all_effects(keys, SECONDS_TO_SCALE))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"ca": "strangers-ca"}, r"the certificate of \S+ is not signed by the CA that is named "),
        ({"certificate": ""}, r"\S+ asks for a client's certificate "),
        ({"existingSecret": {"name": "wrong-address"}}, r"\S+ does not let the user guest in \(WRONGPASS "),
        ({"existingSecret": {"name": "poor-address"}}, r"the user poor of \S+ may not use BRPOP; "),
        pytest.param(
            {"existingSecret": {"name": "no-address"}},
            r"\S+ cannot be reached \(Connection refused\); ",
            marks=pytest.mark.long,
        ),
    ],
    ids=["CA", "no certificate", "password", "rights", "away"],
)
def test_one_that_cannot_serve_is_refused_and_nothing_changes(
    release: Release, changed: dict[str, Any], said: str
) -> None:
    # The last one of the tests before would end in the middle of this one.
    until_no_worker_is_left(release)
    before = release.running_pods()
    broker = {**VALUES_FOR_IT, "kubernetes": {**VALUES_FOR_IT["kubernetes"], **changed}}
    with pytest.raises(ClusterFailed, match=rf"broker\.kind: is external, and {said}"):
        release.upgrade({**VALUES, "broker": broker})
    assert release.running_pods() == before


@pytest.mark.long
def test_a_queue_with_messages_there_keeps_its_pool(release: Release) -> None:
    pool = {"queues": ["archive"], "kubernetes": {"replicas": 0}}
    release.upgrade({**VALUES, "app": {"queues": ["archive"]}, "pools": {**VALUES["pools"], "archive": pool}})
    release.django("import config.celery\nfrom shop.tasks import sleep\nsleep.apply_async((0,), queue='archive')")
    with pytest.raises(ClusterFailed, match="queue archive: 1 message waits "):
        release.upgrade(VALUES)


def test_a_broker_that_cannot_be_asked_is_not_left_for_the_charts_own(release: Release) -> None:
    said = r"broker\.kind: redis would begin empty, and leave what external has to nobody \(the broker does not tell"
    with pytest.raises(ClusterFailed, match=said):
        release.upgrade({name: value for name, value in VALUES.items() if name != "broker"})
