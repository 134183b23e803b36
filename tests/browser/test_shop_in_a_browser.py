"""What a visitor sees."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Response, expect
from resources.deployment import Deployment
from resources.progress_bar import values_until_full
from resources.waiting import wait_for

Shoot = Callable[[Page, str], None]


def test_the_shop_shows_without_errors(page: Page, shoot: Shoot) -> None:
    errors: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            errors.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: errors.append(str(error)))
    answer = page.goto("/")
    assert answer
    assert answer.status == 200
    assert page.get_by_role("button", name="Place orders").is_visible()
    page.wait_for_load_state("networkidle")
    shoot(page, "shop")
    assert errors == []


def test_the_bar_of_orders_moves_to_its_end(page: Page, shoot: Shoot) -> None:
    page.goto("/")
    page.get_by_label("Number of orders").fill("100")
    page.get_by_role("button", name="Place orders").click()
    page.wait_for_url("**/?batch=*")
    values = values_until_full(page, "#notified")
    assert len(set(values)) >= 2, values
    assert values == sorted(values)
    assert values[-1] == 100
    assert page.get_by_role("heading", name="100 of 100 shipped").is_visible()
    shoot(page, "orders-shipped")


def test_the_bar_of_a_report_moves_to_its_end(page: Page, shoot: Shoot) -> None:
    page.goto("/")
    page.get_by_role("button", name="Start a report").click()
    page.wait_for_url("**/#report")
    values = values_until_full(page, "#report-progress")
    assert len(set(values)) >= 3, values
    assert values == sorted(values)
    assert values[-1] == 100
    with page.expect_download() as download:
        page.get_by_role("link", name="Download it as PDF").click()
    assert download.value.path().read_bytes().startswith(b"%PDF-")
    assert not page.get_by_role("button", name="Cancel").is_visible()
    shoot(page, "report-done")


def test_a_report_is_cancelled(page: Page) -> None:
    page.goto("/")
    page.get_by_role("button", name="Start a report").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#report-summary")).to_have_text(re.compile("^Cancelled at "))
    assert page.get_by_role("button", name="Start a report").is_enabled()


def test_a_wrong_number_is_explained(page: Page, shoot: Shoot) -> None:
    page.goto("/")
    page.locator("form[action='/orders/']").evaluate("form => form.noValidate = true")
    page.get_by_label("Number of orders").fill("0")
    page.get_by_role("button", name="Place orders").click()
    assert page.get_by_text("Place at least 1 order.").is_visible()
    shoot(page, "wrong-number")


@pytest.mark.usefixtures("deployment")
def test_flower_asks_for_a_login(page: Page) -> None:
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer))
    # A headless browser has nobody to ask for the password.
    with pytest.raises(Error, match="ERR_INVALID_AUTH_CREDENTIALS"):
        page.goto("/flower/")
    assert [(answer.status, answer.header_value("www-authenticate")) for answer in answers] == [
        (401, 'Basic realm="flower"')
    ]


def test_flower_shows_workers_after_the_login(browser: Browser, deployment: Deployment, screenshots: Path) -> None:
    user, _, password = deployment.secret("flower-users").partition(":")
    context = browser.new_context(
        base_url=deployment.shop().address,
        ignore_https_errors=True,
        http_credentials={"username": user, "password": password},
    )
    page = context.new_page()
    page.goto("/flower/")
    for pool in deployment.pools():
        page.get_by_role("link", name=f"{pool}@").first.wait_for()
    page.screenshot(path=screenshots / "flower.png")
    context.close()


def test_the_admin_lets_its_user_in(page: Page, log_in: Callable[[Page], None], shoot: Shoot) -> None:
    page.goto("/admin/")
    shoot(page, "admin-login")
    log_in(page)
    wait_for("the admin's index", lambda: page.get_by_role("link", name="Orders", exact=True).is_visible())
