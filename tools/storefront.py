"""The shop of sample_app as its customers see it, wherever it runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from requests.adapters import HTTPAdapter
from terminal import say

ORDERS = 100
SECONDS_WITHOUT_PROGRESS = 180
"""More than the outbox needs for what a killed worker had in hand (docs/promise.md)."""


class ShopFailed(Exception):
    """What a customer would complain about."""


class ToServer(HTTPAdapter):
    """Connects to an address and checks the certificate there for `host`, as a browser that resolved it."""

    def __init__(self, host: str) -> None:
        self.host = host
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, server_hostname=self.host, assert_hostname=self.host, **kwargs)


class Shop:
    """The shop's pages, visited over HTTPS as a browser would; without a CA, on a laptop, over HTTP."""

    def __init__(self, host: str, ca: Path | None, server: str, port: int) -> None:
        scheme = "https" if ca else "http"
        authority = host if port == 443 else f"{host}:{port}"
        self.address = f"{scheme}://{authority}"
        self.root = f"{scheme}://{server}:{port}"
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Host"] = authority
        if ca:
            self.session.verify = str(ca)
            self.session.mount(self.root, ToServer(host))

    def place_orders(self, count: int) -> str:
        """Places `count` orders through the form and returns the name of the batch."""
        self.session.get(f"{self.root}/", timeout=30).raise_for_status()
        answer = self.session.post(
            f"{self.root}/orders/",
            data={"count": count, "csrfmiddlewaretoken": self.session.cookies["csrftoken"]},
            headers={"Origin": self.address, "Referer": f"{self.address}/"},
            allow_redirects=False,
            timeout=60,
        )
        if answer.status_code != 302:
            raise ShopFailed(f"the shop answered {answer.status_code} to the order form")
        return parse_qs(urlsplit(answer.headers["Location"]).query)["batch"][0]

    def progress(self, batch: str) -> dict[str, Any]:
        answer = self.session.get(f"{self.root}/orders.json", params={"batch": batch}, timeout=30)
        answer.raise_for_status()
        progress: dict[str, Any] = answer.json()
        return progress


def watch(shop: Shop, batch: str) -> dict[str, Any]:
    """Shows the batch until every order is through, and fails when nothing moves any more.

    A page that does not come is asked for again: what counts is that the orders get through.
    """
    counts, moved_at, trouble = "no answer yet", time.monotonic(), ""
    while True:
        try:
            now = shop.progress(batch)
        except requests.RequestException as error:
            trouble = f"; at last the shop said: {error}"
        else:
            trouble, last = "", counts
            counts = "   ".join(f"{step} {now[step]:>3}" for step in ("charged", "shipped", "notified"))
            if counts != last:
                moved_at = time.monotonic()
                print(f"    {counts}   of {now['total']}", flush=True)
            if now["shipped"] == now["notified"] == now["total"]:
                return now
        if time.monotonic() - moved_at > SECONDS_WITHOUT_PROGRESS:
            raise ShopFailed(f"no order moved for {SECONDS_WITHOUT_PROGRESS} s ({counts}){trouble}")
        time.sleep(0.5)


def order_and_report(shop: Shop, where: str) -> None:
    """Places orders, shows how they get through, and which worker did what."""
    say(f"Placing {ORDERS} orders at {where}")
    progress = watch(shop, shop.place_orders(ORDERS))
    say(f"{progress['shipped']} of {progress['total']} orders shipped. What ran where:")
    for step, workers in progress["by_worker"].items():
        for worker, count in sorted(workers.items()):
            print(f"    {step:<8} {count:>4}  {worker}")
