"""What somebody sees who imports products."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, Request, expect
from resources.progress_bar import MILLISECONDS, values_until_full

Shoot = Callable[[Page, str], None]
LogIn = Callable[[Page], None]
HAS_ENDED = re.compile("^(Done|Cancelled)")


@pytest.fixture(autouse=True)
def no_other_import(page: Page, log_in: LogIn) -> None:
    """One that an earlier run left has ended."""
    page.goto("/imports/")
    log_in(page)
    button = page.get_by_role("button", name="Cancel the import")
    if button.is_visible():
        button.click()


def choose(page: Page, rows: int, *refused: str) -> None:
    text = "name,price\n" + "".join(f"{line}\n" for line in refused)
    text += "".join(f"Garden {number},{number % 90 + 1}.50\n" for number in range(rows))
    file = {"name": "gardens.csv", "mimeType": "text/csv", "buffer": text.encode()}
    page.get_by_label("CSV file of products").set_input_files(file)  # type: ignore[arg-type]
    page.get_by_role("button", name="Import", exact=True).click()


def test_the_bar_of_an_import_moves_live_to_its_end(page: Page, shoot: Shoot) -> None:
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url)

    page.on("request", note)
    choose(page, 10_000, "Assam,cheap", ",3")
    values = values_until_full(page, "#import-progress")
    assert len(set(values)) >= 3, values
    assert values == sorted(values)
    assert values[-1] == 10_002
    expect(page.locator("#import-summary")).to_have_text("Done: 10002 of 10002 rows", timeout=MILLISECONDS)
    expect(page.locator("#import-outcome")).to_have_text("10000 imported, 2 refused")
    expect(page.get_by_role("status")).to_have_text("Done: 10002 of 10002 rows")
    assert page.get_by_role("row", name="2 Assam The price is no number, such as 9.50.").is_visible()
    assert not page.get_by_role("button", name="Cancel the import").is_visible()
    assert any(url.endswith("/live") for url in asked)
    shoot(page, "import-done")


def test_an_import_is_cancelled_half_way(page: Page, shoot: Shoot) -> None:
    choose(page, 40_000)
    shoot(page, "import-running")
    page.get_by_role("button", name="Cancel the import").click()
    expect(page.locator("#import-summary")).to_have_text(re.compile("^Cancelled after .* What is imported stays.$"))
    shoot(page, "import-cancelled")


def test_where_no_stream_gets_through_the_page_asks_again(page: Page) -> None:
    page.route("**/live", lambda route: route.fulfill(status=502))
    choose(page, 3_000)
    expect(page.locator("#import-summary")).to_have_text(HAS_ENDED, timeout=MILLISECONDS)


def test_a_wrong_file_is_explained(page: Page, shoot: Shoot) -> None:
    file = {"name": "teas.csv", "mimeType": "text/csv", "buffer": b"tea;price"}
    page.get_by_label("CSV file of products").set_input_files(file)  # type: ignore[arg-type]
    page.get_by_role("button", name="Import", exact=True).click()
    field = page.get_by_label("CSV file of products")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description(re.compile("The first line must be name,price."))
    shoot(page, "import-wrong-file")


def test_an_import_can_be_watched_without_scripts(browser: Browser, address: str, log_in: LogIn) -> None:
    context = browser.new_context(base_url=address, ignore_https_errors=True, java_script_enabled=False)
    page = context.new_page()
    page.goto("/imports/")
    log_in(page)
    choose(page, 2_000)
    expect(page.locator("#import-summary")).to_have_text(HAS_ENDED, timeout=MILLISECONDS)
    context.close()
