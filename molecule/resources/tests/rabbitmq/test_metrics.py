"""RabbitMQ's figures for Prometheus."""

from __future__ import annotations

from resources.deployment import Deployment, Server
from resources.effects import once
from resources.rabbitmq import PORT_OF_METRICS, page, page_on, tls_of
from resources.waiting import wait_for

# Where RabbitMQ 4 tells everybody unless it is told not to.
PORT_OF_PLAIN_TEXT = 15692


def test_prometheus_hears_the_length_of_each_queue(deployment: Deployment, idle: Server) -> None:
    keys = deployment.send_effects("counted", 3, 0, "reports")
    length = f'rabbitmq_queue_messages_ready{{vhost="{deployment.app}",queue="reports"}} 3'

    def told() -> bool:
        # Of a cluster the node that leads the queue tells it.
        answers = [
            page_on(server, PORT_OF_METRICS, "/metrics/per-object", tls_of(deployment))
            for server in deployment.on("rabbitmq")
        ]
        assert {answer["status"] for answer in answers} == {200}, answers
        return any(length in answer["body"].splitlines() for answer in answers)

    wait_for("RabbitMQ has counted", told)
    idle.run("systemctl", "start", f"{deployment.app}-worker@reports.service")
    assert once(deployment.all_effects(keys))


def test_prometheus_is_refused_without_a_certificate_and_in_plain_text(deployment: Deployment) -> None:
    nobody = {**tls_of(deployment), "certificate": ""}
    for port, tls in ((PORT_OF_METRICS, nobody), (PORT_OF_METRICS, None), (PORT_OF_PLAIN_TEXT, None)):
        answer = page(deployment, port, "/metrics", tls)
        assert answer["refused"] or answer["status"] == 400, answer
        assert "rabbitmq_" not in answer["body"]
