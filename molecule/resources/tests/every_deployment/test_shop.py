"""The shop as its visitors see it, and tasks through every pool."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from resources.deployment import Deployment
from resources.waiting import wait_for
from storefront import Shop

POOL_OF = {"charge": "high", "ship": "default", "notify": "io"}


@pytest.fixture
def shop(deployment: Deployment) -> Shop:
    return deployment.shop()


def test_orders_are_charged_shipped_and_notified_by_the_pools_that_should(shop: Shop) -> None:
    batch = shop.place_orders(20)

    def finished() -> dict[str, Any] | None:
        progress = shop.progress(batch)
        return None if progress["moving"] else progress

    progress = wait_for("20 orders are through", finished)
    assert progress["charged"] == progress["shipped"] == progress["notified"] == 20
    ran = {step: {worker.partition("@")[0] for worker in workers} for step, workers in progress["by_worker"].items()}
    assert ran == {step: {pool} for step, pool in POOL_OF.items()}


def test_a_report_is_built(shop: Shop, deployment: Deployment) -> None:
    page = shop.session.get(f"{shop.root}/", timeout=30)
    answer = shop.session.post(
        f"{shop.root}/reports/",
        data={"csrfmiddlewaretoken": shop.session.cookies["csrftoken"]},
        headers={"Origin": shop.address, "Referer": f"{shop.address}/"},
        allow_redirects=False,
        timeout=30,
    )
    assert (page.status_code, answer.status_code) == (200, 302)
    (row,) = deployment.sql("SELECT max(id) FROM shop_report")
    report = f"{shop.root}/reports/{row[0]}.json"
    wait_for("the report is done", lambda: shop.session.get(report, timeout=30).json()["percent"] == 100)


def test_a_task_goes_through_every_pool(deployment: Deployment) -> None:
    keys = {
        pool: deployment.send_effects(f"through-{pool}", 1, 0, pools["queues"][0])[0]
        for pool, pools in deployment.pools().items()
    }
    ledger = deployment.all_effects(keys.values())
    assert {pool: ledger[key].worker.partition("@")[0] for pool, key in keys.items()} == {pool: pool for pool in keys}


def http_of(shop: Shop) -> str:
    return shop.root.replace("https://", "http://").removesuffix(":443")


def test_plain_http_leads_to_https(shop: Shop) -> None:
    host = {"Host": shop.address.removeprefix("https://")}
    answer = requests.get(f"{http_of(shop)}/orders/", headers=host, allow_redirects=False, timeout=30)
    assert (answer.status_code, answer.headers["Location"]) == (301, f"{shop.address}/orders/")


def test_an_unknown_host_gets_no_answer(shop: Shop) -> None:
    for address in (shop.root, http_of(shop)):
        with pytest.raises(requests.ConnectionError):
            requests.get(address, headers={"Host": "stranger.example"}, verify=False, timeout=30)


def test_the_admin_asks_for_a_login(shop: Shop) -> None:
    answer = shop.session.get(f"{shop.root}/admin/", timeout=30)
    assert answer.status_code == 200
    assert 'name="password"' in answer.text


def test_static_files_are_served(shop: Shop) -> None:
    page = shop.session.get(f"{shop.root}/", timeout=30).text
    style = page.partition('<link rel="stylesheet" href="')[2].partition('"')[0]
    answer = shop.session.get(f"{shop.root}{style}", timeout=30)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/css")


def test_health_pages_tell_no_secret(shop: Shop) -> None:
    for page in ("healthz", "readyz"):
        answer = shop.session.get(f"{shop.root}/{page}", timeout=30)
        assert answer.status_code == 200, answer.text
        assert not answer.json().get("unreachable"), answer.text
        assert "rediss://" not in answer.text
        assert "amqps://" not in answer.text
        assert "postgresql://" not in answer.text
