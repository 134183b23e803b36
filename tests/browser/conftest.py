"""A headless browser in front of the deployed shop; a Molecule scenario runs these tests.

With SHOP_ADDRESS, such as http://localhost:8000 of `python -m tests.open_shop 8000` in sample_app, in front
of that shop.
"""

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
SHOP_ADDRESS = os.environ.get("SHOP_ADDRESS", "")


@pytest.fixture(scope="session")
def deployment() -> Deployment:
    if SHOP_ADDRESS:
        pytest.skip("wants a deployment")
    return Deployment()


@pytest.fixture(scope="session")
def chromium(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In the server's network namespace, if root runs the tests: Chromium drops connections when the machine gets or
    loses a network, as those of other containers are (issues.chromium.org/issues/41465264)."""
    if SHOP_ADDRESS or os.geteuid() != 0:
        return Path(CHROMIUM)
    deployment = request.getfixturevalue("deployment")
    inspect = ("docker", "inspect", "--format={{.State.Pid}}", deployment.first("web").container)
    process = subprocess.run(inspect, check=True, capture_output=True, text=True).stdout.strip()
    wrapper = tmp_path_factory.mktemp("chromium") / "chromium"
    wrapper.write_text(f'#!/bin/sh\nexec nsenter --target {process} --net -- {CHROMIUM} "$@"\n')
    wrapper.chmod(0o755)
    return wrapper


@pytest.fixture(scope="session")
def browser(request: pytest.FixtureRequest, chromium: Path) -> Iterator[Browser]:
    # Chromium has no sandbox for root.
    arguments = ["--no-sandbox"]
    if not SHOP_ADDRESS:
        deployment = request.getfixturevalue("deployment")
        host, server = deployment.described("web", "host"), deployment.first("web").address
        arguments.append(f"--host-resolver-rules=MAP {host} {server}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def address(request: pytest.FixtureRequest) -> str:
    return SHOP_ADDRESS or str(request.getfixturevalue("deployment").shop().address)


@pytest.fixture
def context(browser: Browser, address: str) -> Iterator[BrowserContext]:
    # The browser does not know the stack's CA; that certificates are right is tested elsewhere.
    context = browser.new_context(base_url=address, ignore_https_errors=True)
    context.set_default_timeout(SECONDS_TO_WAIT * 1000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.fixture(scope="session")
def operator(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Name and password of a user of the admin; that of `tests.open_shop` in front of it."""
    if SHOP_ADDRESS:
        return "operator", "operator"
    request.getfixturevalue("deployment").django(
        "from django.contrib.auth.models import User\n"
        "User.objects.filter(username='tester').delete()\n"
        "User.objects.create_superuser('tester', password='only for this test')\n"
    )
    return "tester", "only for this test"


@pytest.fixture
def log_in(operator: tuple[str, str]) -> Callable[[Page], None]:
    """On the admin's page, which leads on to what was asked for."""

    def log_in(page: Page) -> None:
        user, password = operator
        page.get_by_label("Username").fill(user)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Log in").click()

    return log_in


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
