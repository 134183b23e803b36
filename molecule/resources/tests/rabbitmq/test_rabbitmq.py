"""What the users of RabbitMQ may do, what its queues are, and that it keeps what it was given."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from resources.deployment import Deployment, Server
from resources.effects import once
from resources.rabbitmq import answer_to, control, length, listed, replies
from resources.status import status
from resources.waiting import wait_for

DEAD_LETTERS = Path(__file__).parents[4] / "helm/stalk/files/rabbitmq/dead_letters.py"
DELIVERY_LIMIT = 5
QUORUM = '[{<<"x-queue-type">>, longstr, <<"quorum">>}]'
SECONDS_UNTIL_LED = 30
# Runs the script that is its first argument, until that has put three messages back and says so of two.
KILLED_AT_ITS_THIRD_ACKNOWLEDGEMENT = """
import os, signal, sys
import amqp
acknowledge, said = amqp.Channel.basic_ack, []
def basic_ack(channel, *arguments):
    if len(said) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    said.append(arguments)
    acknowledge(channel, *arguments)
amqp.Channel.basic_ack = basic_ack
exec(compile(sys.argv.pop(1), "dead_letters.py", "exec"))
"""


def test_nobody_but_the_components_has_a_user(deployment: Deployment) -> None:
    users = {row["user"] for row in json.loads(control(deployment, "list_users", "--formatter=json"))}
    assert users == {"web", "worker", "beat", "flower", "status", "operator"}
    assert answer_to(deployment, "guest", password="guest")["refused"] == "AccessRefused"


@pytest.mark.parametrize("user", ["web", "worker", "beat", "flower", "status", "operator"])
def test_a_user_wants_its_password(deployment: Deployment, user: str) -> None:
    assert answer_to(deployment, user, password="wrong")["refused"] == "AccessRefused"


@pytest.mark.parametrize("user", ["web", "worker", "beat", "flower", "status"])
def test_a_user_makes_no_queue_of_its_own_and_reads_no_dead_letters(deployment: Deployment, user: str) -> None:
    methods = ["declare", "spare"], ["get", "@dead.default"], ["publish", "@dead", "default"]
    assert replies(deployment, user, *methods) == ["AccessRefused"] * 3


@pytest.mark.parametrize("user", ["flower", "status"])
def test_who_only_looks_neither_sends_nor_takes_a_task(deployment: Deployment, user: str) -> None:
    assert replies(deployment, user, ["publish", "reports", "reports"], ["get", "reports"]) == ["AccessRefused"] * 2


def test_the_operator_takes_dead_letters_and_nothing_else(deployment: Deployment) -> None:
    refused = ["declare", "spare"], ["get", "reports"], ["publish", "@dead", "default"]
    assert replies(deployment, "operator", ["get", "@dead.default"], *refused) == ["empty", *["AccessRefused"] * 3]


def test_every_queue_of_a_pool_is_replicable_and_has_a_place_for_dead_letters(deployment: Deployment) -> None:
    queues = {row["name"]: row for row in listed(deployment, "list_queues", "name", "type", "durable", "policy")}
    for pool, described in deployment.pools().items():
        dead = queues[f"@dead.{pool}"]
        for found in (*(queues[queue] for queue in described["queues"]), dead):
            # RabbitMQ 3.10 says the name of its module.
            assert found["type"] in ("rabbit_quorum_queue", "quorum"), found
            assert found["durable"] is True, found
            assert found["policy"] == ("@dead" if found is dead else pool), found


def test_what_rabbitmq_was_given_outlives_its_kill(deployment: Deployment, idle: Server) -> None:
    keys = deployment.send_effects("through-a-kill", 5, 0, "reports")
    wait_for("they wait", lambda: length(deployment, "reports") == len(keys))
    deployment.first("rabbitmq").kill(f"{deployment.app}-rabbitmq.service")
    wait_for("they still wait", lambda: length(deployment, "reports") == len(keys))
    idle.run("systemctl", "start", f"{deployment.app}-worker@reports.service")
    ledger = deployment.all_effects(keys)
    assert {key: (line.starts, line.effects) for key, line in ledger.items()} == dict.fromkeys(keys, (1, 1))


def test_a_queue_made_just_before_a_kill_takes_messages(deployment: Deployment) -> None:
    server, unit, app = deployment.first("rabbitmq"), f"{deployment.app}-rabbitmq.service", deployment.app
    if len(deployment.on("rabbitmq")) > 1:
        pytest.skip("the nodes of a cluster elect a leader")
    before = server.property(unit, "MainPID")
    name = f'{{resource, <<"{app}">>, queue, <<"young">>}}'
    made = f'rabbit_amqqueue:declare({name}, true, false, {QUORUM}, none, <<"test">>)'
    server.attempt(f"/usr/local/lib/{app}/rabbitmqctl", "eval", f'{made}, os:cmd("kill -KILL " ++ os:getpid()).')
    wait_for(
        "it starts again", lambda: server.property(unit, "MainPID") not in (before, "0") and server.is_active(unit)
    )
    led = f"element(1, ra:members({{{app}_young, node()}}, 3000))."
    wait_for("the queue has a leader", lambda: control(deployment, "eval", led).strip() == "ok", SECONDS_UNTIL_LED)
    control(deployment, "delete_queue", "--vhost", app, "young")


def test_a_message_that_comes_back_too_often_is_a_dead_letter_that_status_and_an_alert_name(
    deployment: Deployment, idle: Server, alerts: Callable[[], set[str]]
) -> None:
    assert replies(deployment, "web", ["publish", "reports", "reports"]) == ["ok"]
    taken = replies(deployment, "worker", *[["get", "reports"]] * (DELIVERY_LIMIT + 2))
    assert taken == ["message"] * (DELIVERY_LIMIT + 1) + ["empty"]
    wait_for("it is with the dead letters", lambda: length(deployment, "@dead.reports") == 1)

    def told() -> str | None:
        said = status(deployment)
        return said if "dead letter" in said else None

    said = wait_for("the management API has counted", told)
    assert "1 dead letter of pool reports in the queue @dead.reports" in said
    wait_for("an alert is raised", lambda: "RabbitMQHasDeadLetters" in alerts())
    control(deployment, "purge_queue", "--vhost", deployment.app, "@dead.reports")


def letters_of(deployment: Deployment, name: str, count: int) -> list[str]:
    """Keys of tasks that came back to the queue `reports` too often."""
    keys = deployment.send_effects(name, count, 0, "reports")
    wait_for("they wait", lambda: length(deployment, "reports") >= count)
    rounds = [["get", "reports"]] * (DELIVERY_LIMIT + 1) * count
    assert set(replies(deployment, "worker", *rounds)) <= {"message", "empty"}
    wait_for("they are with the dead letters", lambda: length(deployment, "@dead.reports") >= count)
    return keys


def until_none_is_dead(deployment: Deployment) -> None:
    """A quorum queue counts every 5 s."""
    wait_for("no dead letter is left", lambda: length(deployment, "@dead.reports") == 0)


def test_dead_letters_are_told_and_put_back(deployment: Deployment, idle: Server) -> None:
    keys = letters_of(deployment, "put-back", 3)
    waiting = length(deployment, "@dead.reports")
    told = deployment.play("dead_letters.yml")
    assert (told.rc, told.changed) == (0, 0), told.output
    said = " ".join(told.output.split())
    assert f"pool reports: {waiting} dead letters" in said
    assert "shop.tasks.record_effect" in said
    assert "of queue reports (delivery_limit)" in said
    assert length(deployment, "@dead.reports") == waiting

    done = deployment.play("dead_letters.yml", stalk_put_back=["reports"])
    assert (done.rc, done.changed) == (0, 1), done.output
    assert f"pool reports: {waiting} dead letters put back into queue reports" in " ".join(done.output.split())
    until_none_is_dead(deployment)
    # A new life: it is given out as often as any other.
    assert replies(deployment, "worker", *[["get", "reports"]] * DELIVERY_LIMIT) == ["message"] * DELIVERY_LIMIT
    idle.run("systemctl", "start", f"{deployment.app}-worker@reports.service")
    assert once(deployment.all_effects(keys))
    until_none_is_dead(deployment)


def test_a_kill_while_dead_letters_are_put_back_loses_none(deployment: Deployment, idle: Server) -> None:
    keys = letters_of(deployment, "killed", 5)
    waiting, before = length(deployment, "@dead.reports"), length(deployment, "reports")
    server, pki = deployment.first("rabbitmq"), f"/etc/{deployment.app}/pki"
    command = ["python3", "-c", KILLED_AT_ITS_THIRD_ACKNOWLEDGEMENT, DEAD_LETTERS.read_text()]
    killed = server.attempt(
        "env",
        f"CELERY_TLS_CA={pki}/ca.crt",
        f"CELERY_TLS_CERT={pki}/operator.crt",
        f"CELERY_TLS_KEY={pki}/operator.key",
        *command,
        *("localhost:5671", deployment.app, "reports"),
        stdin=f"operator:{deployment.secret('RABBITMQ_PASSWORD_operator')}\n",
    )
    assert killed.returncode == 128 + 9, killed.stdout + killed.stderr
    wait_for("what it held is back", lambda: length(deployment, "@dead.reports") == waiting - 2)
    wait_for("what it put back waits", lambda: length(deployment, "reports") >= before + 3)

    done = deployment.play("dead_letters.yml", stalk_put_back=["reports"])
    assert done.rc == 0, done.output
    until_none_is_dead(deployment)
    idle.run("systemctl", "start", f"{deployment.app}-worker@reports.service")
    assert once(deployment.all_effects(keys))


def test_a_dead_letter_that_nobody_takes_stays(deployment: Deployment) -> None:
    said = deployment.play("dead_letters.yml", stalk_put_back=["repots"])
    assert said.message.startswith("stalk_put_back: pool repots has no queue of dead letters; write some of default")
    rights = ("set_permissions", "--vhost", deployment.app, "status", "^$")
    control(deployment, *rights, "^@dead$", "^$")
    assert replies(deployment, "status", ["publish", "@dead", "default"]) == ["ok"]
    control(deployment, *rights, "^$", "^$")
    wait_for("it is with the dead letters", lambda: length(deployment, "@dead.default") == 1)
    said = deployment.play("dead_letters.yml", stalk_put_back=["default"])
    assert said.message.startswith("pool default: 1 dead letter stays: does not say which queue it came from")
    wait_for("it is still there", lambda: length(deployment, "@dead.default") == 1)
    control(deployment, "purge_queue", "--vhost", deployment.app, "@dead.default")


def test_a_task_for_later_waits_in_the_broker(deployment: Deployment) -> None:
    (later,) = deployment.send_effects("later", 1, 0, countdown=30)
    delayed = wait_for(
        "RabbitMQ holds it",
        lambda: [
            row["name"]
            for row in listed(deployment, "list_queues", "name", "messages")
            if row["name"].startswith("celery_delayed_") and row["messages"]
        ],
        seconds=30,
    )
    assert delayed
    assert deployment.ledger([later]) == {}
    assert deployment.all_effects([later])[later].effects == 1


def test_rabbitmq_4_says_why_it_does_not_start_on_the_data_of_3_10(deployment: Deployment) -> None:
    server, unit = deployment.first("rabbitmq"), f"{deployment.app}-rabbitmq.service"
    if not server.run("dpkg-query", "--show", "--showformat=${Version}", "rabbitmq-server").startswith("4."):
        pytest.skip("this Debian has RabbitMQ 3.10")
    flags = server.run("sh", "-c", f"ls /var/lib/{deployment.app}-rabbitmq/data/*-feature_flags").strip()
    server.run("systemctl", "stop", unit)
    server.run("sed", "-i.kept", "s/message_containers/quorum_queue/", flags)
    try:
        assert server.attempt("systemctl", "start", unit).returncode
        said = server.run("journalctl", f"--unit={unit}", "--lines=20", "--output=cat", "--no-pager")
        assert "is of a RabbitMQ before 3.13, and RabbitMQ 4.0.5 begins from 3.13's alone" in said
    finally:
        server.run("mv", f"{flags}.kept", flags)
        server.run("systemctl", "restart", unit)


def test_limits_and_certificates_reach_a_running_rabbitmq(deployment: Deployment) -> None:
    server, unit = deployment.first("rabbitmq"), f"{deployment.app}-rabbitmq.service"
    before = server.property(unit, "MainPID")
    shown = certificate_of(deployment, server)
    server.run("rm", f"/etc/{deployment.app}/pki/rabbitmq.crt")
    deployment.converge(changes={"broker": {"maxmemory": "600mb", "delivery_limit": 9}})
    assert server.property(unit, "MainPID") == before
    assert str(600 * 1024**2) in control(deployment, "eval", "vm_memory_monitor:get_vm_memory_high_watermark().")
    assert {policies(deployment)[pool]["delivery-limit"] for pool in deployment.pools()} == {9}
    assert policies(deployment).keys() == {*deployment.pools(), "@dead"}
    assert certificate_of(deployment, server) != shown
    deployment.converge()


@pytest.mark.long
def test_a_pool_that_leaves_has_its_rights_until_it_has_ended(deployment: Deployment) -> None:
    changes = {"pools": {"reports": None}, "app": {"routes": {"shop.tasks.build_report": "celery"}}}
    deployment.converge("--tags", "rabbitmq", changes=changes)
    assert replies(deployment, "worker", ["get", "reports"]) == ["empty"]
    assert policies(deployment).keys() == {*deployment.pools(), "@dead"}

    deployment.converge(changes=changes)
    assert replies(deployment, "worker", ["get", "reports"]) == ["AccessRefused"]
    assert policies(deployment).keys() == {*deployment.pools(), "@dead"} - {"reports"}
    assert deployment.converge(changes=changes).changed == 0
    deployment.converge()


def policies(deployment: Deployment) -> dict[str, dict[str, Any]]:
    return {row["name"]: json.loads(row["definition"]) for row in listed(deployment, "list_policies")}


def certificate_of(deployment: Deployment, server: Server) -> str:
    """What RabbitMQ shows a client."""
    pki = f"/etc/{deployment.app}/pki"
    hello = (
        f"openssl s_client -connect localhost:5671 -cert {pki}/status.crt -key {pki}/status.key </dev/null 2>/dev/null"
    )
    return server.run("sh", "-c", f"{hello} | openssl x509 -noout -serial")
