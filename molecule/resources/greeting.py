"""What broker and database answer to a client that shows a certificate, or none, or speaks no TLS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from resources.certificates import Pair
from resources.deployment import Deployment

HANDSHAKE = Path(__file__).with_name("handshake.py")
PORTS = {"redis": 6379, "rabbitmq": 5671, "postgresql": 5432}


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


def is_refused(deployment: Deployment, part: str, pair: Pair | None) -> bool:
    """Whether the service closes the connection; its alert may get lost on the way."""
    answer = answer_of(deployment, part, pair)
    return bool(answer["refused"]) and not answer["replies"]
