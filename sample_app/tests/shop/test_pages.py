from __future__ import annotations

import re
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from django.test import Client

from shop.forms import OrderForm
from shop.models import Order, OrderEvent, Product, Report, WebhookDelivery

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Page

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("catalogue")]


class Browser:
    """Visits over HTTPS and keeps cookies, as a browser does."""

    def __init__(self) -> None:
        self.client = Client(enforce_csrf_checks=True, headers={"Referer": "https://testserver/"})

    def get(self, path: str) -> Page:
        return self.client.get(path, secure=True)

    def post(self, path: str, **fields: str) -> Page:
        self.get("/")
        fields["csrfmiddlewaretoken"] = self.client.cookies["csrftoken"].value
        return self.client.post(path, fields, secure=True)


@pytest.fixture
def browser() -> Browser:
    return Browser()


def text_of(page: Page) -> str:
    return page.content.decode()


def test_an_empty_shop_says_so(browser: Browser) -> None:
    page = browser.get("/")
    assert page.status_code == 200
    assert "No orders yet" in text_of(page)
    assert "No report yet" in text_of(page)


def test_placing_orders_leads_to_their_batch(browser: Browser) -> None:
    answer = browser.post("/orders/", count="3")
    assert answer.status_code == 302
    batch = UUID(answer.headers["Location"].removeprefix("/?batch="))
    assert Order.objects.filter(batch=batch).count() == 3
    page = browser.get(answer.headers["Location"])
    assert "Place orders" in text_of(page)
    assert f"/orders.json?batch={batch}" in text_of(page)
    assert 'data-moving="yes"' in text_of(page)


@pytest.mark.parametrize(
    ("count", "message"),
    [
        ("", "Say how many orders to place."),
        ("0", "Place at least 1 order."),
        ("-5", "Place at least 1 order."),
        ("1001", "Place at most 1000 orders at once."),
        ("9" * 500, "Place at most 1000 orders at once."),
        ("ten", "Write a whole number, such as 100."),
        ("1.5", "Write a whole number, such as 100."),
    ],
)
def test_a_wrong_count_is_explained_and_nothing_is_placed(browser: Browser, count: str, message: str) -> None:
    answer = browser.post("/orders/", count=count)
    assert answer.status_code == 400
    assert message in text_of(answer)
    assert 'aria-invalid="true"' in text_of(answer)
    assert not Order.objects.exists()


def test_an_empty_catalogue_is_explained(browser: Browser) -> None:
    Product.objects.all().delete()
    answer = browser.post("/orders/", count="1")
    assert answer.status_code == 400
    assert "The catalogue is empty." in text_of(answer)


@pytest.mark.parametrize("count", ["1", "1000"])
def test_the_ends_of_the_range_are_in_it(count: str) -> None:
    assert OrderForm({"count": count}).is_valid()


def test_a_form_without_token_is_refused(browser: Browser) -> None:
    answer = browser.client.post("/orders/", {"count": "3"}, secure=True)
    assert answer.status_code == 403
    assert "That form was too old" in text_of(answer)
    assert not Order.objects.exists()


def test_a_form_from_another_site_is_refused(browser: Browser) -> None:
    browser.get("/")
    token = browser.client.cookies["csrftoken"].value
    answer = browser.client.post(
        "/orders/",
        {"count": "3", "csrfmiddlewaretoken": token},
        secure=True,
        headers={"Origin": "https://elsewhere.example"},
    )
    assert answer.status_code == 403
    assert not Order.objects.exists()


@pytest.mark.parametrize("path", ["/orders/", "/reports/"])
def test_the_address_of_a_form_leads_back_to_the_shop(browser: Browser, path: str) -> None:
    answer = browser.get(path)
    assert answer.status_code == 302
    assert answer.headers["Location"].split("#")[0] == "/"
    assert not Report.objects.exists()


def test_progress_of_a_batch_counts_steps_workers_and_deliveries(browser: Browser) -> None:
    batch = uuid4()
    placed, shipped, notified = (
        Order.objects.create(batch=batch, item="Sencha", amount=1, state=state)
        for state in ("placed", "shipped", "notified")
    )
    OrderEvent.objects.create(order=shipped, step="charge", worker="high@a")
    OrderEvent.objects.create(order=notified, step="charge", worker="high@b")
    OrderEvent.objects.create(order=notified, step="notify", worker="io@a")
    WebhookDelivery.objects.create(order=notified, state="skipped")
    Order.objects.create(batch=uuid4(), item="Sencha", amount=1)
    progress = browser.get(f"/orders.json?batch={batch}").json()
    orders = progress.pop("orders")
    assert progress == {
        "batch": str(batch),
        "total": 3,
        "charged": 2,
        "shipped": 2,
        "notified": 1,
        "declined": 0,
        "moving": True,
        "by_worker": {"charge": {"high@a": 1, "high@b": 1}, "notify": {"io@a": 1}},
        "deliveries": {"skipped": 1},
        "deliveries_summary": "Webhooks: 1 skipped (no address is set)",
    }
    assert {"id": placed.pk, "state": "placed", "label": "Placed"} in orders


@pytest.mark.parametrize(("batch", "status"), [("", 400), ("one", 400), (str(uuid4()), 404)])
def test_progress_of_no_batch_is_an_error_with_a_reason(browser: Browser, batch: str, status: int) -> None:
    answer = browser.get(f"/orders.json?batch={batch}")
    assert answer.status_code == status
    assert answer.json()["error"].startswith("batch: ")


@pytest.mark.parametrize("batch", [str(uuid4()), "<b>one</b>"])
def test_an_unknown_batch_is_named_safely(browser: Browser, batch: str) -> None:
    page = text_of(browser.get(f"/?batch={batch}"))
    assert "No such batch" in page
    assert "<b>one" not in page


def test_starting_a_report_shows_its_progress(browser: Browser) -> None:
    Order.objects.create(batch=uuid4(), item="Sencha", amount=1)
    assert browser.post("/reports/").headers["Location"] == "/#report"
    report = Report.objects.get()
    assert f'data-url="/reports/{report.pk}.json" data-moving="yes"' in text_of(browser.get("/"))
    progress = browser.get(f"/reports/{report.pk}.json").json()
    assert (progress["state"], progress["percent"], progress["summary"]) == ("waiting", 0, "Waiting for a worker")
    assert browser.get(f"/reports/{report.pk + 1}.json").status_code == 404


def test_the_pages_run_under_a_strict_content_policy(browser: Browser) -> None:
    browser.post("/orders/", count="1")
    browser.post("/reports/")
    for path in ("/", "/imports/", "/missing"):
        page = text_of(browser.get(path))
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", page)
        assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", page))


def test_a_missing_page_leads_to_the_shop(browser: Browser) -> None:
    answer = browser.get("/missing")
    assert answer.status_code == 404
    assert "Go to the shop" in text_of(answer)
