"""Flower shows itself to nobody without a login."""

from __future__ import annotations

import json
import re

import pytest
from resources.deployment import Deployment
from resources.waiting import wait_for
from storefront import Shop

# Files of the package, and the pages of a login by OAuth.
SHOW_NOTHING = ("/static", "/login", "/logout")
OPEN_IN_FLOWER = ("healthcheck", "metrics")
PATHS_OF_FLOWER = """
import json
from flower.urls import handlers
print(json.dumps([getattr(handler, 'regex', None) and handler.regex.pattern or handler[0] for handler in handlers]))
"""


@pytest.fixture(scope="module")
def shop(deployment: Deployment) -> Shop:
    return deployment.shop()


@pytest.fixture(scope="module")
def paths(deployment: Deployment) -> list[str]:
    """A path for every handler in Flower's source."""
    app = deployment.app
    listed = deployment.first("flower").run(
        f"/usr/local/lib/{app}/in-release", f"/srv/{app}/current", "python", "-B", "-", stdin=PATHS_OF_FLOWER
    )
    patterns: list[str] = json.loads(listed.splitlines()[-1])
    return [re.sub(r"\([^)]*\)\??", "x", pattern.removesuffix("$")) for pattern in patterns if pattern.startswith("/")]


def test_the_source_of_flower_lists_its_api(paths: list[str]) -> None:
    assert len([path for path in paths if path.startswith("/api/")]) >= 15


def test_without_a_login_every_page_and_every_api_path_answers_401(shop: Shop, paths: list[str]) -> None:
    open_to_all = {}
    for path in paths:
        if path.startswith(SHOW_NOTHING) or path.strip("/") in OPEN_IN_FLOWER:
            continue
        statuses = {
            shop.session.request(method, f"{shop.root}/flower{path}", allow_redirects=False, timeout=30).status_code
            for method in ("GET", "POST")
        }
        # 405: the handler does not know the method.
        if not {401} <= statuses <= {401, 405}:
            open_to_all[path] = statuses
    assert open_to_all == {}


def test_a_wrong_password_is_refused(shop: Shop) -> None:
    for path in ("/", "/api/workers"):
        answer = shop.session.get(f"{shop.root}/flower{path}", auth=("admin", "wrong"), timeout=30)
        assert answer.status_code == 401


@pytest.mark.parametrize("path", OPEN_IN_FLOWER)
def test_pages_that_flower_never_guards_are_not_served(shop: Shop, path: str) -> None:
    for ending in ("", "/", "?x=1"):
        assert shop.session.get(f"{shop.root}/flower/{path}{ending}", timeout=30).status_code == 404


VISIT = """
import ssl, sys, urllib.request
context = ssl.create_default_context(cafile="/etc/shop/pki/ca.crt")
if len(sys.argv) > 1:
    context.load_cert_chain(*sys.argv[1:])
try:
    print(urllib.request.urlopen("https://localhost:5555/flower/healthcheck", context=context).status)
except OSError as error:
    # The alert may get lost on the way: in TLS 1.3 the client has sent its request before it reads whether it may.
    closed = (ssl.SSLError, ConnectionError)
    print("refused" if any(isinstance(e, closed) for e in (error, getattr(error, "reason", 0))) else repr(error))
"""


def test_flower_itself_answers_only_holders_of_a_certificate(deployment: Deployment) -> None:
    server = deployment.first("flower")
    pair = [f"/etc/{deployment.app}/pki/flower.{end}" for end in ("crt", "key")]
    assert server.run("python3", "-c", VISIT, *pair).strip() == "200"
    assert server.run("python3", "-c", VISIT).strip() == "refused"


def test_with_the_login_flower_shows_every_worker(shop: Shop, deployment: Deployment) -> None:
    user, _, password = deployment.secret("flower-users").partition(":")
    assert shop.session.get(f"{shop.root}/flower/", auth=(user, password), timeout=30).status_code == 200

    def workers() -> set[str]:
        answer = shop.session.get(
            f"{shop.root}/flower/api/workers", params={"refresh": "1"}, auth=(user, password), timeout=60
        )
        assert answer.status_code == 200, answer.text
        return {name.partition("@")[0] for name in answer.json()}

    wait_for("Flower lists all pools", lambda: workers() >= set(deployment.pools()))
