from __future__ import annotations

import pytest
from django.test import Client

from tests.brokers import ON_BOTH_BROKERS
from tests.services import PASSWORD, Broker, Services

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def client() -> Client:
    return Client(headers={"X-Forwarded-Proto": "https"})


@ON_BOTH_BROKERS
def test_a_process_with_all_it_needs_is_healthy_and_ready(client: Client, broker: Broker) -> None:
    for path in ("/healthz", "/readyz"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert answer.json()["status"] == "ok"
        assert not answer.json().get("unreachable")
        assert "no-store" in answer["Cache-Control"]
        assert client.post(path).status_code == 405


def test_without_broker_it_is_ready_and_says_what_is_missing(client: Client, services: Services) -> None:
    with services.redis.away():
        assert client.get("/healthz").status_code == 200
        answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "unreachable": ["broker"]}
    assert PASSWORD not in answer.content.decode()
    assert client.get("/readyz").json()["unreachable"] == []


def test_without_database_it_is_healthy_but_not_ready(client: Client, services: Services) -> None:
    with services.postgresql.away():
        assert client.get("/healthz").status_code == 200
        answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"status": "unreachable", "unreachable": ["database"]}
    assert client.get("/readyz").status_code == 200
