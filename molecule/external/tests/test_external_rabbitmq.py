"""A RabbitMQ and, for results, a Redis of somebody else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from resources.deployment import Deployment, Server
from resources.refused import assert_a_waiting_message_keeps_its_pool, away, refusal
from storefront import watch

ORDERS = 10
URL = "amqps://{}:{}@stalk-external-managed:5671/{}"
ADDRESS = "broker.kind: is external, and "
SEEN = " (seen from stalk-external)"


def test_orders_go_through_it(deployment: Deployment) -> None:
    shop = deployment.shop()
    assert watch(shop, shop.place_orders(ORDERS))["shipped"] == ORDERS


def test_the_server_has_no_broker_of_its_own(deployment: Deployment) -> None:
    patterns = (f"{deployment.app}-redis*", f"{deployment.app}-rabbitmq*")
    # The others' units name these as what they start after, so systemd lists them as not found.
    assert deployment.first("worker").units("--state=loaded", *patterns) == []


def test_a_result_is_kept_in_the_redis_of_its_own(deployment: Deployment, managed: Server) -> None:
    deployment.django(
        "import config.celery\nfrom shop.tasks import sleep\nassert sleep.delay(0).get(timeout=60) is None"
    )
    command = [
        "redis-cli",
        "--tls",
        "-h",
        "stalk-external-managed",
        "-p",
        "6391",
        "--cacert",
        "/etc/ssl/results-ca.crt",
    ]
    login = ["--user", "operator", "--pass", "a/b@c", "--no-auth-warning"]
    keys = managed.run(*command, *login, "--scan", "--pattern", "shop:celery-task-meta-*").split()
    assert keys
    assert 0 < int(managed.run(*command, *login, "TTL", keys[0])) <= 86400


def test_flower_counts_its_queues(deployment: Deployment) -> None:
    options = json.loads(deployment.first("flower").run("cat", f"/etc/{deployment.app}/flower.json"))
    assert options["broker_api"] == "https://stalk-external-managed:15671/api/"
    user, _, password = deployment.secret("flower-users").partition(":")
    shop = deployment.shop()
    page = shop.session.get(f"{shop.root}/flower/broker", auth=(user, password), timeout=60)
    assert page.status_code == 200
    assert "celery" in page.text


def test_status_is_well(deployment: Deployment) -> None:
    run = deployment.play("status.yml")
    assert run.rc == 0, run.output


def test_its_key_is_read_by_systemd_alone(deployment: Deployment) -> None:
    server = deployment.first("worker")
    unit = server.units(f"{deployment.app}-worker@*.service")[0]
    environment = server.run("sh", "-c", f"cat /proc/$(systemctl show -P MainPID {unit})/environ | tr '\\0' '\\n'")
    assert f"CELERY_TLS_KEY=/run/credentials/{unit}/broker.key" in environment
    assert server.run("stat", "-c", "%a %U", f"/etc/{deployment.app}/credentials/worker/broker.key").split() == [
        "600",
        "root",
    ]


def with_secret(**values: str) -> dict[str, dict[str, str]]:
    return {"stalk_secrets": values}


def test_a_wrong_password_is_refused(deployment: Deployment) -> None:
    line = refusal(deployment, {}, **with_secret(CELERY_BROKER_URL=URL.format("shop", "wrong", "shop")))
    assert line == (
        f"{ADDRESS}stalk-external-managed:5671 does not let the user shop in; "
        f"correct user and password in the secret{SEEN}"
    )


def test_a_user_without_a_right_is_refused(deployment: Deployment) -> None:
    line = refusal(deployment, {}, **with_secret(CELERY_BROKER_URL=URL.format("poor", "a%2Fb%40c", "shop")))
    assert line.startswith(f"{ADDRESS}the user poor of stalk-external-managed:5671 may not configure celery and ")


def test_a_ca_that_did_not_sign_it_is_refused(deployment: Deployment) -> None:
    other = {"broker": {"servers": {"ca": str(deployment.scratch / "stranger.crt")}}}
    line = refusal(deployment, other)
    assert line.startswith(f"{ADDRESS}the certificate of stalk-external-managed:5671 is not signed by the CA that is")


def test_one_that_is_away_is_refused(deployment: Deployment, managed: Server) -> None:
    with away(managed, "rabbitmq-server"):
        line = refusal(deployment, {})
    assert line.startswith(f"{ADDRESS}stalk-external-managed:5671 cannot be reached (Connection refused); ")


def test_a_store_of_results_that_cannot_serve_is_refused(deployment: Deployment, managed: Server) -> None:
    with away(managed, "redis-server@results"):
        line = refusal(deployment, {})
    assert line.startswith("results.kind: is external, and stalk-external-managed:6391 cannot be reached ")


def test_amazon_sqs_is_refused(deployment: Deployment) -> None:
    run = deployment.site(**with_secret(CELERY_BROKER_URL="sqs://key:secret@"))
    assert run.rc != 0
    assert "names Amazon SQS, by which Celery keeps no results and takes no commands; use a Redis or a" in run.message


@pytest.mark.long
def test_a_queue_with_messages_there_keeps_its_pool(deployment: Deployment) -> None:
    assert_a_waiting_message_keeps_its_pool(deployment, {})


def test_another_one_is_not_begun_while_it_may_have_messages(deployment: Deployment, tmp_path: Path) -> None:
    run = deployment.site(**with_secret(CELERY_BROKER_URL=URL.format("shop", "a%2Fb%40c", "other")))
    assert run.rc != 0
    assert (
        "broker.kind: is external, and the secret CELERY_BROKER_URL names stalk-external-managed:5671/other where "
        "stalk-external-managed:5671/shop has this stack's messages; stop what sends, let its queues drain, then remove"
    ) in run.message
