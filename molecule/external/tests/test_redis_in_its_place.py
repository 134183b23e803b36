"""The stack moves from that RabbitMQ to a Redis of somebody else, which has the results too."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from resources.deployment import Deployment, Server
from resources.refused import assert_a_waiting_message_keeps_its_pool, away, refusal
from storefront import watch

ORDERS = 10
URL = "rediss://{}:{}@stalk-external-managed:6390/0"
BROKER: dict[str, Any] = {
    "broker": {"external": "redis", "management_url": ""},
    "results": {"kind": "auto", "servers": {"ca": ""}},
}
ADDRESS = "broker.kind: is external, and "
COMMAND = "redis-cli --tls -h stalk-external-managed -p 6390 --cacert /etc/ssl/broker-ca.crt --cert /etc/ssl/broker.crt"


def operator(managed: Server, *words: str) -> str:
    key = ["--key", "/etc/ssl/broker.key", "--user", "operator", "--pass", "a/b@c", "--no-auth-warning"]
    return managed.run(*COMMAND.split(), *key, *words)


@pytest.fixture(scope="module", autouse=True)
def _moved(deployment: Deployment) -> None:
    """Its queues are empty: the operator says so by removing the line."""
    file = deployment.state / f"deployed-{deployment.app}.yml"
    memory = yaml.safe_load(file.read_text())
    memory["hosts"].pop("external", None)
    file.write_text(yaml.safe_dump(memory))
    (deployment.state / "secrets" / "CELERY_BROKER_URL").write_text(URL.format("guest", "a%2Fb%40c"))
    run = deployment.converge(changes=BROKER)
    assert "maxmemory-policy" not in run.output


def test_orders_go_through_it(deployment: Deployment, managed: Server) -> None:
    shop = deployment.shop()
    assert watch(shop, shop.place_orders(ORDERS))["shipped"] == ORDERS
    assert "cmdstat_brpop" in operator(managed, "INFO", "commandstats")


def test_a_second_run_changes_nothing(deployment: Deployment) -> None:
    assert deployment.converge(changes=BROKER).changed == 0


def test_one_that_throws_messages_away_is_refused(deployment: Deployment, managed: Server) -> None:
    operator(managed, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        line = refusal(deployment, BROKER)
    finally:
        operator(managed, "CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert line == (
        f"{ADDRESS}stalk-external-managed:6390 has the maxmemory-policy allkeys-lru, by which it throws messages away "
        "when it is full; set it to noeviction (seen from stalk-external)"
    )


def test_a_wrong_password_is_refused(deployment: Deployment) -> None:
    line = refusal(deployment, BROKER, stalk_secrets={"CELERY_BROKER_URL": URL.format("guest", "wrong")})
    assert line.startswith(f"{ADDRESS}stalk-external-managed:6390 does not let the user guest in (WRONGPASS ")


def test_a_user_without_a_right_is_refused(deployment: Deployment) -> None:
    line = refusal(deployment, BROKER, stalk_secrets={"CELERY_BROKER_URL": URL.format("poor", "a%2Fb%40c")})
    assert line.startswith(f"{ADDRESS}the user poor of stalk-external-managed:6390 may not use BRPOP; let it, on the ")


def test_no_certificate_is_refused(deployment: Deployment) -> None:
    broker = {**BROKER["broker"], "servers": {"certificate": "", "key": ""}}
    line = refusal(deployment, {**BROKER, "broker": broker})
    assert line.startswith(f"{ADDRESS}stalk-external-managed:6390 asks for a client's certificate ")


def test_one_that_is_away_is_refused(deployment: Deployment, managed: Server) -> None:
    with away(managed, "redis-server@messages"):
        line = refusal(deployment, BROKER)
    assert line.startswith(f"{ADDRESS}stalk-external-managed:6390 cannot be reached (Connection refused); ")


def test_a_port_on_which_another_listens_is_refused(deployment: Deployment, managed: Server) -> None:
    web = deployment.first("web")
    deployment.place(web=[managed.name])
    try:
        line = refusal(deployment, {**BROKER, "web": {"servers": {"http_port": 6390}}})
    finally:
        deployment.place(web=[web.name])
    assert line == (
        "web.servers.http_port: redis-server@messages.service on stalk-external-managed already listens on 6390; "
        "stop and disable it there, or set another port"
    )


@pytest.mark.long
def test_a_queue_with_messages_there_keeps_its_pool(deployment: Deployment) -> None:
    assert_a_waiting_message_keeps_its_pool(deployment, BROKER)
