"""Certificates and the broker's passwords are renewed while tasks run: nothing restarts, and no task is lost."""

from __future__ import annotations

import socket
import ssl
import struct

import pytest
from resources.certificates import Pair
from resources.effects import once
from resources.waiting import wait_for
from storefront import watch

from tests.cluster.desk import Desk
from tests.cluster.greeting import answer_of, authority_of, is_refused
from tests.cluster.ledger import ended_where_they_began, until_all_run
from tests.cluster.redis import ask
from tests.cluster.release import BRIEF, Release, name_of
from tests.cluster.renewal import (
    COMPONENTS,
    SECONDS_UNTIL_A_FILE_IS_FOLLOWED,
    connect_anew,
    cut_connections,
    forget_passwords,
    password,
    processes,
    step,
    takes,
    trust,
    wait_until_mounted,
    wait_until_taken,
    wait_until_trusted,
)

SERVERS = {"redis": "rediss", "postgresql": "postgresql", "web": "https", "flower": "https"}
POSTGRESQL_REQUESTS_TLS = struct.pack("!ii", 8, 80877103)
WITH_FLOWER = {"flower": {"enabled": True}}


@pytest.fixture(scope="module")
def release(empty_release: Release) -> Release:
    empty_release.files += (BRIEF,)
    empty_release.install(WITH_FLOWER)
    return empty_release


def shown(release: Release, component: str) -> str:
    """The certificate that a server gives to those who connect."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        release.forwarded(f"service/shop-{component}", SERVERS[component]) as port,
        socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
    ):
        if component == "postgresql":
            plain.sendall(POSTGRESQL_REQUESTS_TLS)
            assert plain.recv(1) == b"S"
        with context.wrap_socket(plain) as secured:
            return ssl.DER_cert_to_PEM_cert(secured.getpeercert(binary_form=True) or b"")


def wait_until_shown(release: Release, server: str, leaf: str) -> None:
    wait_for(
        f"{server} shows its new leaf",
        lambda: shown(release, server).strip() == leaf.strip(),
        SECONDS_UNTIL_A_FILE_IS_FOLLOWED,
    )


def change_passwords(release: Release, digest: str = "") -> str:
    """The new one of the workers, once Redis takes it. Without another digest no pod is rolled."""
    forget_passwords(release)
    release.upgrade({**WITH_FLOWER, "broker": {"kubernetes": {"existingSecret": {"digest": digest}}}})
    wait_until_taken(release)
    return password(release)


def restart_redis(release: Release) -> None:
    release.kubectl("delete", "pod", "shop-redis-0")
    release.wait("pod/shop-redis-0", "condition=Ready")


def users(release: Release) -> set[str]:
    return {line.split()[1] for line in ask(release, "ACL", "LIST").splitlines()}


def test_renewed_leaves_are_taken_without_a_restart_while_tasks_run(release: Release, desk: Desk) -> None:
    before = processes(release)
    long = [*desk.send("long", 2, 30), *desk.send("long-io", 3, 30, "webhooks")]
    began = until_all_run(release, long)
    with desk.flow("celery", "webhooks") as short:
        release.renew_leaves(*COMPONENTS)
        for server in SERVERS:
            wait_until_shown(release, server, release.leaf(server))
    ledger = release.all_effects([*long, *short], SECONDS_UNTIL_A_FILE_IS_FOLLOWED)
    assert once(ledger)
    assert ended_where_they_began(ledger, began)
    assert processes(release) == before


def test_connections_are_made_anew_with_the_new_leaves(release: Release, desk: Desk) -> None:
    """Every connection to Redis and PostgreSQL is cut, so that each process shows its new leaf."""
    before = processes(release)
    for component in ("worker", "beat"):
        for pod in release.pods(component):
            wait_until_mounted(release, name_of(pod), release.leaf(component))
    connect_anew(release)
    with release.shop() as shop:
        assert shop.place_orders(3)
    keys = [*desk.send("after", 3), *desk.send("after-io", 3, 0, "webhooks")]
    assert once(release.all_effects(keys, SECONDS_UNTIL_A_FILE_IS_FOLLOWED))
    assert processes(release) == before


def refuses(release: Release, server: str, pair: Pair) -> bool:
    if server == "flower":
        # No other pod of the stack may reach it.
        answer = answer_of(release, "https", pair, "localhost", 5555, pod="deployment/shop-flower")
        return bool(answer["refused"]) and not answer["replies"]
    return is_refused(release, server, pair)


@pytest.mark.long
def test_another_ca_takes_over_without_a_restart_while_tasks_run(release: Release, desk: Desk) -> None:
    before, first, first_alone = processes(release), authority_of(release), trust(release)
    assert not refuses(release, "flower", first.leaf("worker"))
    with desk.flow("celery", "webhooks") as while_both_are_trusted:
        release.upgrade({**WITH_FLOWER, "tls": {"kubernetes": {"generation": 2}}})
        both = trust(release)
        assert both.count("BEGIN CERTIFICATE") == 2
        wait_until_trusted(release, both)
        step(release)
        wait_until_trusted(release, trust(release))
        for server in SERVERS:
            wait_until_shown(release, server, release.leaf(server))
        for component in ("worker", "beat"):
            for pod in release.pods(component):
                wait_until_mounted(release, name_of(pod), release.leaf(component))
    connect_anew(release)
    with desk.flow("celery", "webhooks") as while_the_first_goes:
        step(release)
        second_alone = trust(release)
        assert second_alone.count("BEGIN CERTIFICATE") == 1
        assert second_alone != first_alone
        wait_until_trusted(release, second_alone)
        wait_for(
            "whoever asks for a certificate refuses one of the first",
            lambda: all(refuses(release, server, first.leaf("worker")) for server in ("redis", "postgresql", "flower")),
            SECONDS_UNTIL_A_FILE_IS_FOLLOWED,
        )
    connect_anew(release)
    with release.shop() as shop:
        assert watch(shop, shop.place_orders(3))["shipped"] == 3
    sent = [*while_both_are_trusted, *while_the_first_goes]
    assert once(release.all_effects(sent, SECONDS_UNTIL_A_FILE_IS_FOLLOWED))
    assert processes(release) == before


def test_pods_that_know_the_password_before_connect_again(release: Release, desk: Desk) -> None:
    before, first = processes(release), password(release)
    with desk.flow("celery", "webhooks") as short:
        long = until_all_run(release, desk.send("long", 2, 30))
        second = change_passwords(release)
        cut_connections(release)
        restart_redis(release)
        assert takes(release, first)
        assert takes(release, second)
    with release.shop() as shop:
        assert shop.place_orders(3)
    ledger = release.all_effects([*long, *short], SECONDS_UNTIL_A_FILE_IS_FOLLOWED)
    assert once(ledger)
    assert ended_where_they_began(ledger, long)
    after = processes(release)
    assert after.pop("shop-redis-0") != before.pop("shop-redis-0")
    assert after == before


@pytest.mark.long
def test_a_password_is_refused_from_the_second_change_on(release: Release) -> None:
    first = change_passwords(release, "first")
    second = change_passwords(release, "second")
    assert takes(release, first)
    change_passwords(release, "third")
    assert takes(release, second)
    assert not takes(release, first)
    with release.shop() as shop:
        assert watch(shop, shop.place_orders(3))["shipped"] == 3


@pytest.mark.long
def test_a_component_that_is_switched_off_is_refused_from_the_next_change_on(release: Release) -> None:
    def change(megabytes: int) -> set[str]:
        """The users of Redis, once it took the change."""
        release.upgrade({"broker": {"maxmemory": f"{megabytes}mb"}})
        release.mount_what_changed("redis")
        wait_for(
            "Redis took the change",
            lambda: str(megabytes * 2**20) in ask(release, "CONFIG", "GET", "maxmemory").split(),
            SECONDS_UNTIL_A_FILE_IS_FOLLOWED,
        )
        return users(release)

    assert "flower" in change(65)
    assert "flower" not in change(66)
