"""A stack in which certificates log in to RabbitMQ."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from resources.deployment import Deployment
from resources.effects import once
from resources.rabbitmq import answer_to, page, tls_of
from resources.waiting import wait_for

# The queue of tasks, and one that a worker alone may have.
QUEUES = ["get", "reports"], ["get", "another.celery.pidbox"]


@pytest.fixture(scope="module")
def by_certificate(deployment: Deployment) -> Iterator[Deployment]:
    changes = {"broker": {"login": "certificate"}}
    deployment.converge(changes=changes)
    assert deployment.converge(changes=changes).changed == 0
    yield deployment
    deployment.converge()


def heard(deployment: Deployment, certificate: str, mechanism: str = "EXTERNAL") -> dict[str, Any]:
    """What a client hears that shows this certificate, and has the name and the password of `worker`."""
    return answer_to(deployment, "worker", *QUEUES, mechanism=mechanism, certificate=certificate)


@pytest.mark.parametrize(
    ("component", "replies"),
    [
        ("worker", ["empty", "NotFound"]),
        ("web", ["empty", "AccessRefused"]),
        ("beat", ["empty", "AccessRefused"]),
        ("flower", ["AccessRefused", "AccessRefused"]),
        ("status", ["AccessRefused", "AccessRefused"]),
    ],
)
def test_a_certificate_is_the_login_of_its_component_and_of_no_other(
    by_certificate: Deployment, component: str, replies: list[str]
) -> None:
    assert heard(by_certificate, component) == {"refused": None, "replies": replies}


@pytest.mark.parametrize("leaf", ["rabbitmq", "postgresql"])
def test_a_certificate_that_is_no_clients_is_no_login(by_certificate: Deployment, leaf: str) -> None:
    assert heard(by_certificate, leaf)["refused"]


@pytest.mark.parametrize("mechanism", ["PLAIN", "AMQPLAIN"])
def test_no_password_is_a_login_over_amqp_where_certificates_are(by_certificate: Deployment, mechanism: str) -> None:
    assert heard(by_certificate, "worker", mechanism)["refused"] == "ConnectionError"


def test_tasks_go_through_and_no_password_is_in_the_apps_address(by_certificate: Deployment) -> None:
    keys = by_certificate.send_effects("by-certificate", 3, 0)
    assert once(by_certificate.all_effects(keys))
    for component in ("web", "worker", "beat", "flower"):
        address = f"/etc/{by_certificate.app}/credentials/{component}/CELERY_BROKER_URL"
        urls = by_certificate.first(component).run("cat", address).strip().split(";")
        assert len(urls) == len(by_certificate.on("rabbitmq"))
        assert all(
            re.fullmatch(rf"amqps://[a-z0-9]+:5671/{by_certificate.app}[?]login_method=EXTERNAL", url) for url in urls
        ), urls


@pytest.mark.parametrize(("user", "status"), [("flower", 200), ("status", 200), ("worker", 401)])
def test_the_management_api_takes_the_passwords_of_who_counts(
    by_certificate: Deployment, user: str, status: int
) -> None:
    login = f"{user}:{by_certificate.secret(f'RABBITMQ_PASSWORD_{user}')}"
    answer = page(by_certificate, 15671, f"/api/queues/{by_certificate.app}", tls_of(by_certificate), login)
    assert answer["status"] == status


def test_flower_counts_the_queues_of_the_workers_that_it_has_asked(by_certificate: Deployment) -> None:
    shop = by_certificate.shop()
    user, _, password = by_certificate.secret("flower-users").partition(":")

    def counted() -> set[str]:
        for asked in ("workers?refresh=1", "queues/length"):
            answer = shop.session.get(f"{shop.root}/flower/api/{asked}", auth=(user, password), timeout=30)
        return {each["name"] for each in answer.json()["active_queues"]}

    wait_for("Flower counts every pool's queue", lambda: counted() >= {"celery", "reports"})
