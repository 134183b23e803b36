"""The chart, installed from nothing."""

from __future__ import annotations

from storefront import watch

from tests.cluster.release import Release

ORDERS = 20


def test_orders_that_are_placed_over_https_are_shipped(standing_release: Release) -> None:
    with standing_release.shop() as shop:
        assert watch(shop, shop.place_orders(ORDERS))["shipped"] == ORDERS


def test_a_second_installation_changes_no_pod(standing_release: Release) -> None:
    before = standing_release.running_pods()
    standing_release.install()
    assert standing_release.running_pods() == before
