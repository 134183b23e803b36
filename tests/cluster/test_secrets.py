"""Secrets that change while the stack runs: who uses them is rolled, nobody else."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from storefront import watch

from tests.cluster.release import Release

ORDERS = 10


def rolled(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {component for uid, component in after.items() if uid not in before}


@pytest.fixture
def own_secret(standing_release: Release) -> Iterator[str]:
    standing_release.kubectl("create", "secret", "generic", "flower-login", *login("first"))
    yield "flower-login"
    standing_release.upgrade()
    standing_release.kubectl("delete", "secret", "flower-login")


def login(password: str) -> tuple[str, str]:
    return (f"--from-literal=flower-users=someone:{password}", "--from-literal=FLOWER_COOKIE_SECRET=" + "c" * 40)


@pytest.mark.long
def test_a_secret_of_ones_own_rolls_only_what_uses_it(standing_release: Release, own_secret: str) -> None:
    def use(digest: str) -> set[str]:
        before = standing_release.running_pods()
        own = {"existingSecret": {"name": own_secret, "digest": digest}}
        standing_release.upgrade({"flower": {"kubernetes": own}})
        return rolled(before, standing_release.running_pods())

    assert use("first") == {"flower"}
    changed = standing_release.kubectl(
        "create", "secret", "generic", own_secret, *login("second"), "--dry-run=client", "--output=yaml"
    )
    standing_release.apply(changed)
    assert use("second") == {"flower"}
    with standing_release.shop() as shop:
        page = f"{shop.root}/flower/"
        assert shop.session.get(page, auth=("someone", "first"), timeout=30).status_code == 401
        assert shop.session.get(page, auth=("someone", "second"), timeout=30).status_code == 200


def test_new_passwords_of_the_broker_roll_its_clients_and_orders_ship_on(standing_release: Release) -> None:
    before = standing_release.running_pods()
    passwords = [name for name in standing_release.secret("shop-secrets") if name.startswith("REDIS_PASSWORD_")]
    removal = [{"op": "remove", "path": f"/data/{name}"} for name in passwords]
    with standing_release.shop() as shop:
        batch = shop.place_orders(ORDERS)
    standing_release.kubectl("patch", "secret", "shop-secrets", "--type=json", f"--patch={json.dumps(removal)}")
    standing_release.upgrade({"broker": {"kubernetes": {"existingSecret": {"digest": "2"}}}})
    assert rolled(before, standing_release.running_pods()) == {"web", "worker", "beat", "flower"}
    with standing_release.shop() as shop:
        assert watch(shop, batch)["shipped"] == ORDERS
        assert watch(shop, shop.place_orders(ORDERS))["shipped"] == ORDERS
