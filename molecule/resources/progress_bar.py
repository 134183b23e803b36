"""What a progress bar shows on a page that is not reloaded."""

from __future__ import annotations

from playwright.sync_api import Page

# On a machine that is busy a webhook is answered too late, and its delivery comes again up to 5 minutes later.
MILLISECONDS = 600_000
WATCH = """(bar) => {
  window.seen = [bar.value];
  new MutationObserver(() => window.seen.push(bar.value)).observe(bar, {attributes: true, childList: true});
}"""


def values_until_full(page: Page, bar: str) -> list[float]:
    """The values that a progress bar took on the page, which is not reloaded, until it was full."""
    page.locator(bar).evaluate(WATCH)
    page.wait_for_function(
        "(name) => { const bar = document.querySelector(name); return bar.value === bar.max }",
        arg=bar,
        timeout=MILLISECONDS,
    )
    values: list[float] = page.evaluate("window.seen")
    return values
