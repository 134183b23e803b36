"""RabbitMQ of the deployment: its command line, its users over AMQP, and its pages over HTTPS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from resources.deployment import Deployment, Server

AMQP_CLIENT = Path(__file__).with_name("amqp_client.py")
HTTPS_CLIENT = Path(__file__).with_name("https_client.py")
PORT_OF_METRICS = 15691


def answer_to(
    deployment: Deployment,
    user: str,
    *methods: list[str],
    password: str = "",
    mechanism: str = "PLAIN",
    certificate: str = "status",
) -> dict[str, Any]:
    """What a user hears who shows a certificate, that of `status`, which may do nothing by itself, or another's."""
    question = {
        "user": user,
        "password": password or deployment.secret(f"RABBITMQ_PASSWORD_{user}"),
        "mechanism": mechanism,
        "vhost": deployment.app,
        "port": 5671,
        "tls": tls_of(deployment, certificate),
        "methods": list(methods),
    }
    # Each has its certificate on its own hosts, which are nodes of a cluster too.
    server = deployment.first("rabbitmq" if certificate == "status" else certificate)
    answer: dict[str, Any] = server.release_python(deployment.app, AMQP_CLIENT, question)
    return answer


def replies(deployment: Deployment, user: str, *methods: list[str]) -> list[str]:
    answer = answer_to(deployment, user, *methods)
    assert answer["refused"] is None, answer
    found: list[str] = answer["replies"]
    return found


def control(deployment: Deployment, *arguments: str) -> str:
    return deployment.first("rabbitmq").run(f"/usr/local/lib/{deployment.app}/rabbitmqctl", "--quiet", *arguments)


def listed(deployment: Deployment, what: str, *columns: str) -> list[dict[str, Any]]:
    table = control(deployment, what, "--vhost", deployment.app, "--formatter=json", *columns)
    rows: list[dict[str, Any]] = json.loads(table)
    return rows


def length(deployment: Deployment, queue: str) -> int:
    return next(
        int(row["messages"]) for row in listed(deployment, "list_queues", "name", "messages") if row["name"] == queue
    )


def tls_of(deployment: Deployment, component: str = "status") -> dict[str, str]:
    pki = f"/etc/{deployment.app}/pki"
    return {"ca": f"{pki}/ca.crt", "certificate": f"{pki}/{component}.crt", "key": f"{pki}/{component}.key"}


def page(
    deployment: Deployment, port: int, path: str, tls: dict[str, str] | None = None, login: str = ""
) -> dict[str, Any]:
    """A page of RabbitMQ's, as a client on its host gets it."""
    return page_on(deployment.first("rabbitmq"), port, path, tls, login)


def page_on(server: Server, port: int, path: str, tls: dict[str, str] | None = None, login: str = "") -> dict[str, Any]:
    question = {"port": port, "path": path, "login": login, "tls": tls}
    answer: dict[str, Any] = server.python(HTTPS_CLIENT, question)
    return answer
