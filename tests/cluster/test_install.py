"""The chart, installed from nothing."""

from __future__ import annotations

from storefront import watch

from tests.cluster.release import Release

ORDERS = 20


def test_orders_that_are_placed_over_https_are_shipped(release: Release) -> None:
    with release.shop() as shop:
        assert watch(shop, shop.place_orders(ORDERS))["shipped"] == ORDERS
