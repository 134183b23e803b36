"""What an uninstallation leaves, and what a second installation finds."""

from __future__ import annotations

import pytest
from resources.waiting import wait_for
from storefront import watch

from tests.cluster.release import BRIEF, Release

ORDERS = 10
KINDS = "all,configmaps,ingresses,networkpolicies,poddisruptionbudgets,serviceaccounts,roles,rolebindings"
OF_EVERY_NAMESPACE = {"ConfigMap/kube-root-ca.crt", "ServiceAccount/default"}
VOLUMES = {"data-shop-postgresql-0", "data-shop-redis-0"}


@pytest.fixture(scope="module")
def release(empty_release: Release) -> Release:
    empty_release.files += (BRIEF,)
    empty_release.install()
    return empty_release


def names(release: Release, kinds: str) -> set[str]:
    return {f"{one['kind']}/{one['metadata']['name']}" for one in release.get(kinds)}


def test_only_data_and_secrets_stay_and_the_next_installation_goes_on_with_them(release: Release) -> None:
    with release.shop() as shop:
        batch = shop.place_orders(ORDERS)
        watch(shop, batch)
    secrets = {name: release.secret(name) for name in ("shop-ca", "shop-secrets")}

    release.uninstall()

    wait_for("all else is gone", lambda: names(release, KINDS) <= OF_EVERY_NAMESPACE)
    assert {claim["metadata"]["name"] for claim in release.get("persistentvolumeclaims")} == VOLUMES
    release.install()
    assert {name: release.secret(name) for name in secrets} == secrets
    with release.shop() as shop:
        assert shop.progress(batch)["shipped"] == ORDERS
        assert watch(shop, shop.place_orders(ORDERS))["shipped"] == ORDERS
