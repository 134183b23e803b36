"""nginx and gunicorn: what they accept, and that they serve while they change."""

from __future__ import annotations

import socket
import ssl
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import requests
from resources.deployment import Deployment, Server
from resources.waiting import wait_for
from storefront import Shop

VISITORS = 4


@pytest.fixture
def shop(deployment: Deployment) -> Shop:
    return deployment.shop()


@pytest.fixture
def server(deployment: Deployment) -> Server:
    return deployment.first("web")


def offer(
    server: Server, shop: Shop, change: Callable[[ssl.SSLContext], object], name: str | None = None
) -> str | None:
    """The version of TLS that nginx agrees to; it refuses by ending the handshake."""
    context = ssl.create_default_context(cafile=str(shop.session.verify))
    context.check_hostname = name is None
    change(context)
    with socket.create_connection((server.address, 443), timeout=30) as plain:
        host = shop.address.removeprefix("https://").partition(":")[0] if name is None else name or None
        with context.wrap_socket(plain, server_hostname=host) as secure:
            return secure.version()


def newest(version: ssl.TLSVersion) -> Callable[[ssl.SSLContext], object]:
    def change(context: ssl.SSLContext) -> None:
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.minimum_version = min(version, ssl.TLSVersion.TLSv1_2)
        context.maximum_version = version

    return change


@pytest.mark.parametrize(
    ("version", "spoken"), [(ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")]
)
def test_today_s_tls_is_spoken(server: Server, shop: Shop, version: ssl.TLSVersion, spoken: str) -> None:
    assert offer(server, shop, newest(version)) == spoken


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_old_tls_is_refused(server: Server, shop: Shop) -> None:
    with pytest.raises(OSError, match=r"(?i)alert|protocol|eof|reset"):
        offer(server, shop, newest(ssl.TLSVersion.TLSv1_1))


@pytest.mark.parametrize("cipher", ["ECDHE-ECDSA-AES128-SHA256", "AES128-GCM-SHA256"])
def test_ciphers_without_aead_or_forward_secrecy_are_refused(server: Server, shop: Shop, cipher: str) -> None:
    def change(context: ssl.SSLContext) -> None:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(cipher)

    with pytest.raises(ssl.SSLError):
        offer(server, shop, change)


@pytest.mark.parametrize("name", ["stranger.example", ""])
def test_a_handshake_for_another_host_is_rejected(server: Server, shop: Shop, name: str) -> None:
    with pytest.raises(ssl.SSLError):
        offer(server, shop, lambda context: None, name)


def test_one_id_follows_a_request_to_the_journal(server: Server, shop: Shop) -> None:
    mark = f"follow-me-{uuid.uuid4().hex}"
    shop.session.get(f"{shop.root}/healthz", headers={"X-Request-ID": mark}, timeout=30).raise_for_status()
    journal = ["journalctl", "--unit=nginx", "--no-pager", "--output=cat"]
    wait_for("the id is in nginx's journal", lambda: mark in server.run(*journal))


def test_nginx_and_gunicorn_run_without_root(server: Server, deployment: Deployment) -> None:
    users = {
        unit: server.run("ps", "--format=user=", f"--pid={server.property(unit, 'MainPID')}").strip()
        for unit in ("nginx.service", f"{deployment.app}-web.service")
    }
    assert users == {"nginx.service": "www-data", f"{deployment.app}-web.service": deployment.app}


@contextmanager
def visitors(shop: Shop) -> Iterator[Counter[str]]:
    """Visitors who each open a new connection for every page; yields what they were answered."""
    answers: Counter[str] = Counter()
    done = threading.Event()

    def visit() -> None:
        while not done.is_set():
            try:
                page = shop.session.get(f"{shop.root}/", headers={"Connection": "close"}, timeout=60)
                # Its beginning tells whether nginx, gunicorn or Django turned the visitor away.
                answer = "200" if page.status_code == 200 else f"{page.status_code}: {page.text[:200]}"
            except requests.RequestException as error:
                answer = repr(error)
            answers[answer] += 1

    threads = [threading.Thread(target=visit) for _ in range(VISITORS)]
    for thread in threads:
        thread.start()
    try:
        wait_for("visitors are served", lambda: answers["200"] > VISITORS)
        yield answers
        served = answers["200"]
        wait_for("visitors are still served", lambda: answers["200"] > served + VISITORS)
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_no_visitor_is_turned_away_while_services_change(server: Server, shop: Shop, deployment: Deployment) -> None:
    began = server.run("date", "+%s").strip()
    with visitors(shop) as answers:
        server.run("systemctl", "reload", "nginx.service")
        server.run("systemctl", "restart", f"{deployment.app}-web.service")
        server.run("systemctl", "reload", "nginx.service")
    turned_away = set(answers) - {"200"}
    said = told_since(server, began, "nginx.service", f"{deployment.app}-web.service")
    assert not turned_away, f"{turned_away}\n{said}"


def told_since(server: Server, began: str, *units: str) -> str:
    """What units said, but for pages that nginx served."""
    chosen = [f"--unit={unit}" for unit in units]
    journal = server.run("journalctl", "--no-pager", "--output=cat", f"--since=@{began}", *chosen)
    return "\n".join(line for line in journal.splitlines() if '" 200 ' not in line)


@pytest.fixture
def broken(server: Server) -> Iterator[None]:
    whole = server.run("cat", "/etc/nginx/nginx.conf")
    server.run("tee", "/etc/nginx/nginx.conf", stdin=whole + "nonsense;\n")
    yield
    server.run("tee", "/etc/nginx/nginx.conf", stdin=whole)
    server.run("systemctl", "reload", "nginx.service")


@pytest.mark.usefixtures("broken")
def test_a_broken_configuration_is_refused_and_the_old_one_serves_on(server: Server, shop: Shop) -> None:
    assert server.attempt("systemctl", "reload", "nginx.service").returncode != 0
    assert server.is_active("nginx.service")
    assert shop.session.get(f"{shop.root}/healthz", timeout=30).status_code == 200
