"""A headless browser in front of the deployed shop; a Molecule scenario runs these tests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from resources.deployment import Deployment
from resources.reporting import (
    pytest_collection_finish,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_unconfigure,
)

__all__ = ["pytest_collection_finish", "pytest_collection_modifyitems", "pytest_configure", "pytest_unconfigure"]

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = "/usr/bin/chromium"
SECONDS_TO_WAIT = 120
WIDTHS = {"desktop": 1280, "phone": 375}


@pytest.fixture(scope="session")
def deployment() -> Deployment:
    return Deployment()


@pytest.fixture(scope="session")
def chromium(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In the server's network namespace, if root runs the tests: Chromium drops connections when the machine gets or
    loses a network, as those of other containers are (issues.chromium.org/issues/41465264)."""
    if os.geteuid() != 0:
        return Path(CHROMIUM)
    inspect = ("docker", "inspect", "--format={{.State.Pid}}", deployment.first("web").container)
    process = subprocess.run(inspect, check=True, capture_output=True, text=True).stdout.strip()
    wrapper = tmp_path_factory.mktemp("chromium") / "chromium"
    wrapper.write_text(f'#!/bin/sh\nexec nsenter --target {process} --net -- {CHROMIUM} "$@"\n')
    wrapper.chmod(0o755)
    return wrapper


@pytest.fixture(scope="session")
def browser(deployment: Deployment, chromium: Path) -> Iterator[Browser]:
    host, server = deployment.described("web", "host"), deployment.first("web").address
    # Chromium has no sandbox for root.
    arguments = ["--no-sandbox", f"--host-resolver-rules=MAP {host} {server}"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser, deployment: Deployment) -> Iterator[BrowserContext]:
    # The browser does not know the stack's CA; that certificates are right is tested elsewhere.
    context = browser.new_context(base_url=deployment.shop().address, ignore_https_errors=True)
    context.set_default_timeout(SECONDS_TO_WAIT * 1000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.fixture
def screenshots() -> Path:
    return ROOT / "build" / "screenshots"


@pytest.fixture
def shoot(screenshots: Path) -> Callable[[Page, str], None]:
    """Shoots the page at both widths, and makes sure that it fits without scrolling sideways."""

    def shoot(page: Page, name: str) -> None:
        for device, width in WIDTHS.items():
            page.set_viewport_size({"width": width, "height": 900})
            page.screenshot(path=screenshots / f"{name}-{device}.png", full_page=True)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} is wider than {width} px"

    return shoot
