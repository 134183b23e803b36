"""Who may talk to the broker and the database: only holders of a certificate of the stack's CA."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from resources.certificates import Authority, Pair
from resources.deployment import Deployment

HANDSHAKE = Path(__file__).parents[2] / "handshake.py"
PORTS = {"redis": 6379, "rabbitmq": 5671, "postgresql": 5432}
DEMANDS = {"redis": ["-NOAUTH Authentication required."], "rabbitmq": ["PLAIN"], "postgresql": ["R"]}
NOBODY = Pair("", "")

every_service = pytest.mark.parametrize("part", ["broker", "database"])


def service_of(deployment: Deployment, part: str) -> str:
    return {"broker": deployment.broker, "database": "postgresql"}[part]


def answer_of(deployment: Deployment, part: str, pair: Pair | None) -> dict[str, Any]:
    """What a client on a worker's host hears from a service that it greets with a certificate, none, or no TLS."""
    service = service_of(deployment, part)
    client, server = deployment.on("worker")[-1], deployment.first(service)
    tls = pair and {"ca": (deployment.state / "pki" / "ca.crt").read_text(), **vars(pair)}
    question = {
        "kind": service,
        "host": deployment.address_of(server, client),
        "port": PORTS[service],
        "tls": tls,
        "commands": [["PING"]],
    }
    answer: dict[str, Any] = client.python(HANDSHAKE, question)
    return answer


@every_service
def test_a_certificate_of_the_stack_is_let_in_as_far_as_the_password(deployment: Deployment, part: str) -> None:
    answer = answer_of(deployment, part, deployment.authority.leaf("worker"))
    assert answer["refused"] is None
    assert answer["replies"] == DEMANDS[service_of(deployment, part)]


def is_refused(deployment: Deployment, part: str, pair: Pair | None) -> bool:
    """Whether the service closes the connection; its alert may get lost on the way."""
    answer = answer_of(deployment, part, pair)
    return bool(answer["refused"]) and not answer["replies"]


@every_service
def test_no_client_certificate_is_refused(deployment: Deployment, part: str) -> None:
    assert is_refused(deployment, part, NOBODY)


@every_service
def test_a_certificate_of_another_ca_is_refused(deployment: Deployment, part: str) -> None:
    assert is_refused(deployment, part, Authority.new("shop CA").leaf("worker"))


@every_service
def test_an_expired_certificate_is_refused(deployment: Deployment, part: str) -> None:
    assert is_refused(deployment, part, deployment.authority.leaf("worker", ends_in=-timedelta(hours=1)))


@every_service
def test_plain_text_is_refused(deployment: Deployment, part: str) -> None:
    assert is_refused(deployment, part, None)
