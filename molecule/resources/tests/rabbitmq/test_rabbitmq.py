"""What the users of RabbitMQ may do, what its queues are, and that it keeps what it was given."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from resources.deployment import Deployment, Server
from resources.waiting import wait_for

CLIENT = Path(__file__).parents[2] / "amqp_client.py"
HTTPS_CLIENT = Path(__file__).parents[2] / "https_client.py"
DELIVERY_LIMIT = 5
METRICS_PORT = 15691


def answer_to(
    deployment: Deployment,
    user: str,
    *methods: list[str],
    password: str = "",
    mechanism: str = "PLAIN",
    certificate: str = "status",
) -> dict[str, Any]:
    """What a user hears who shows a certificate, that of `status`, which may do nothing by itself, or another's."""
    pki = f"/etc/{deployment.app}/pki"
    question = {
        "user": user,
        "password": password or deployment.secret(f"RABBITMQ_PASSWORD_{user}"),
        "mechanism": mechanism,
        "vhost": deployment.app,
        "port": 5671,
        "tls": {"ca": f"{pki}/ca.crt", "certificate": f"{pki}/{certificate}.crt", "key": f"{pki}/{certificate}.key"},
        "methods": list(methods),
    }
    answer: dict[str, Any] = deployment.first("rabbitmq").release_python(deployment.app, CLIENT, question)
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


def test_nobody_but_the_components_has_a_user(deployment: Deployment) -> None:
    users = {row["user"] for row in json.loads(control(deployment, "list_users", "--formatter=json"))}
    assert users == {"web", "worker", "beat", "flower", "status"}
    assert answer_to(deployment, "guest", password="guest")["refused"] == "AccessRefused"


@pytest.mark.parametrize("user", ["web", "worker", "beat", "flower", "status"])
def test_a_user_wants_its_password(deployment: Deployment, user: str) -> None:
    assert answer_to(deployment, user, password="wrong")["refused"] == "AccessRefused"


@pytest.mark.parametrize("user", ["web", "worker", "beat", "flower", "status"])
def test_a_user_makes_no_queue_of_its_own_and_reads_no_dead_letters(deployment: Deployment, user: str) -> None:
    methods = ["declare", "spare"], ["get", "@dead.default"], ["publish", "@dead", "default"]
    assert replies(deployment, user, *methods) == ["AccessRefused"] * 3


@pytest.mark.parametrize("user", ["flower", "status"])
def test_who_only_looks_neither_sends_nor_takes_a_task(deployment: Deployment, user: str) -> None:
    assert replies(deployment, user, ["publish", "reports", "reports"], ["get", "reports"]) == ["AccessRefused"] * 2


def test_every_queue_of_a_pool_is_replicable_and_has_a_place_for_dead_letters(deployment: Deployment) -> None:
    queues = {row["name"]: row for row in listed(deployment, "list_queues", "name", "type", "durable", "policy")}
    for pool, described in deployment.pools().items():
        for queue in described["queues"]:
            found = queues[queue]
            assert (found["type"], found["durable"], found["policy"]) == ("rabbit_quorum_queue", True, pool) or (
                found["type"],
                found["policy"],
            ) == ("quorum", pool), found
        assert queues[f"@dead.{pool}"]["policy"] == ""


@pytest.fixture
def idle(deployment: Deployment) -> Iterator[Server]:
    """The pool `reports` takes nothing."""
    server, unit = deployment.first("worker"), f"{deployment.app}-worker@reports.service"
    server.run("systemctl", "stop", unit)
    yield server
    server.run("systemctl", "start", unit)


def test_what_rabbitmq_was_given_outlives_its_kill(deployment: Deployment, idle: Server) -> None:
    keys = deployment.send_effects("through-a-kill", 5, 0, "reports")
    wait_for("they wait", lambda: length(deployment, "reports") == len(keys))
    server, unit = deployment.first("rabbitmq"), f"{deployment.app}-rabbitmq.service"
    before = server.property(unit, "MainPID")
    server.run("systemctl", "kill", "--signal=SIGKILL", unit)
    wait_for(
        "systemd starts RabbitMQ again",
        lambda: server.property(unit, "MainPID") not in (before, "0") and server.is_active(unit),
    )
    wait_for("they still wait", lambda: length(deployment, "reports") == len(keys))
    idle.run("systemctl", "start", f"{deployment.app}-worker@reports.service")
    ledger = deployment.all_effects(keys)
    assert {key: (line.starts, line.effects) for key, line in ledger.items()} == dict.fromkeys(keys, (1, 1))


def test_a_message_that_comes_back_too_often_is_a_dead_letter_that_status_names(
    deployment: Deployment, idle: Server
) -> None:
    assert replies(deployment, "web", ["publish", "reports", "reports"]) == ["ok"]
    taken = replies(deployment, "worker", *[["get", "reports"]] * (DELIVERY_LIMIT + 2))
    assert taken == ["message"] * (DELIVERY_LIMIT + 1) + ["empty"]
    wait_for("it is with the dead letters", lambda: length(deployment, "@dead.reports") == 1)

    def told() -> str | None:
        said = " ".join(deployment.play("status.yml").output.split())
        return said if "dead letter" in said else None

    said = wait_for("the management API has counted", told)
    assert "1 dead letter of pool reports in the queue @dead.reports" in said
    control(deployment, "purge_queue", "--vhost", deployment.app, "@dead.reports")


def test_a_task_for_later_waits_in_the_broker(deployment: Deployment) -> None:
    (later,) = deployment.send_effects("later", 1, 0, countdown=8)
    delayed = wait_for(
        "RabbitMQ holds it",
        lambda: [
            row["name"]
            for row in listed(deployment, "list_queues", "name", "messages")
            if row["name"].startswith("celery_delayed_") and row["messages"]
        ],
        seconds=8,
    )
    assert delayed
    assert deployment.ledger([later]) == {}
    assert deployment.all_effects([later])[later].effects == 1


def test_limits_and_certificates_reach_a_running_rabbitmq(deployment: Deployment) -> None:
    server, unit = deployment.first("rabbitmq"), f"{deployment.app}-rabbitmq.service"
    before = server.property(unit, "MainPID")
    shown = certificate_of(deployment, server)
    server.run("rm", f"/etc/{deployment.app}/pki/rabbitmq.crt")
    deployment.converge(changes={"broker": {"maxmemory": "600mb", "delivery_limit": 9}})
    assert server.property(unit, "MainPID") == before
    assert str(600 * 1024**2) in control(deployment, "eval", "vm_memory_monitor:get_vm_memory_high_watermark().")
    assert {policy["delivery-limit"] for policy in policies(deployment).values()} == {9}
    assert policies(deployment).keys() == deployment.pools().keys()
    assert certificate_of(deployment, server) != shown
    deployment.converge()


def test_a_pool_that_leaves_has_its_rights_until_it_has_ended(deployment: Deployment) -> None:
    changes = {"pools": {"reports": None}, "app": {"routes": {"shop.tasks.build_report": "celery"}}}
    deployment.converge("--tags", "rabbitmq", changes=changes)
    assert replies(deployment, "worker", ["get", "reports"]) == ["empty"]
    assert policies(deployment).keys() == deployment.pools().keys()

    deployment.converge(changes=changes)
    assert replies(deployment, "worker", ["get", "reports"]) == ["AccessRefused"]
    assert policies(deployment).keys() == deployment.pools().keys() - {"reports"}
    assert deployment.converge(changes=changes).changed == 0
    deployment.converge()


class ByCertificate:
    """A stack whose certificates log in; `worker` is what each of them claims to be, with that one's password."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment

    def heard(self, certificate: str, *methods: list[str], mechanism: str = "EXTERNAL") -> dict[str, Any]:
        return answer_to(self.deployment, "worker", *methods, mechanism=mechanism, certificate=certificate)

    def replies(self, certificate: str, *methods: list[str]) -> list[str]:
        answer = self.heard(certificate, *methods)
        assert answer["refused"] is None, answer
        found: list[str] = answer["replies"]
        return found


@pytest.fixture(scope="module")
def by_certificate(deployment: Deployment) -> Iterator[ByCertificate]:
    changes = {"broker": {"login": "certificate"}}
    deployment.converge(changes=changes)
    assert deployment.converge(changes=changes).changed == 0
    yield ByCertificate(deployment)
    deployment.converge()


def test_a_certificate_is_the_login_of_its_component_and_of_no_other(by_certificate: ByCertificate) -> None:
    task = ["publish", "reports", "reports"], ["get", "reports"]
    assert by_certificate.replies("web", *task)[0] == "ok"
    assert by_certificate.replies("worker", ["get", "reports"], ["get", "@dead.reports"])[1] == "AccessRefused"
    assert by_certificate.replies("flower", *task) == ["AccessRefused"] * 2
    assert by_certificate.replies("status", *task) == ["AccessRefused"] * 2


@pytest.mark.parametrize("leaf", ["rabbitmq", "postgresql"])
def test_a_certificate_that_is_no_components_is_no_login(by_certificate: ByCertificate, leaf: str) -> None:
    assert by_certificate.heard(leaf)["refused"]


@pytest.mark.parametrize("mechanism", ["PLAIN", "AMQPLAIN"])
def test_no_password_is_a_login_over_amqp_where_certificates_are(by_certificate: ByCertificate, mechanism: str) -> None:
    assert by_certificate.heard("worker", mechanism=mechanism)["refused"] == "ConnectionError"


def test_tasks_go_through_and_no_password_is_in_the_apps_address(by_certificate: ByCertificate) -> None:
    deployment = by_certificate.deployment
    keys = deployment.send_effects("by-certificate", 3, 0)
    assert {line.effects for line in deployment.all_effects(keys).values()} == {1}
    for component in ("web", "worker", "beat", "flower"):
        address = f"/etc/{deployment.app}/credentials/{component}/CELERY_BROKER_URL"
        url = deployment.first(component).run("cat", address)
        assert url.strip() == f"amqps://localhost:5671/{deployment.app}?login_method=EXTERNAL"


def test_the_management_api_takes_passwords_where_certificates_log_in(by_certificate: ByCertificate) -> None:
    deployment = by_certificate.deployment
    assert deployment.play("status.yml").rc == 0
    assert management_status(deployment, "flower") == 200
    assert management_status(deployment, "worker") == 401
    shop = deployment.shop()
    login = tuple(deployment.secret("flower-users").split()[0].split(":", 1))

    def counted() -> set[str]:
        """As Flower sees the queues of the workers that it has asked."""
        for page in ("workers?refresh=1", "queues/length"):
            said = shop.session.get(f"{shop.root}/flower/api/{page}", auth=login, timeout=30).json()
        return {each["name"] for each in said["active_queues"]}

    wait_for("Flower counts every pool's queue", lambda: counted() >= {"celery", "reports"})


def management_status(deployment: Deployment, user: str) -> int:
    """What the management API answers to the user's password."""
    login = f"{user}:{deployment.secret(f'RABBITMQ_PASSWORD_{user}')}"
    status: int = page(deployment, 15671, f"/api/queues/{deployment.app}", tls_of(deployment), login)["status"]
    return status


def tls_of(deployment: Deployment) -> dict[str, str]:
    pki = f"/etc/{deployment.app}/pki"
    return {"ca": f"{pki}/ca.crt", "certificate": f"{pki}/status.crt", "key": f"{pki}/status.key"}


def page(
    deployment: Deployment, port: int, path: str, tls: dict[str, str] | None = None, login: str = ""
) -> dict[str, Any]:
    """A page of RabbitMQ's, as a client on its host gets it."""
    question = {"port": port, "path": path, "login": login, "tls": tls}
    answer: dict[str, Any] = deployment.first("rabbitmq").python(HTTPS_CLIENT, question)
    return answer


def test_prometheus_hears_the_length_of_each_queue(deployment: Deployment, idle: Server) -> None:
    keys = deployment.send_effects("counted", 3, 0, "reports")
    length = f'rabbitmq_queue_messages_ready{{vhost="{deployment.app}",queue="reports"}} 3'

    def told() -> bool:
        answer = page(deployment, METRICS_PORT, "/metrics/per-object", tls_of(deployment))
        assert answer["status"] == 200, answer
        return length in answer["body"].splitlines()

    wait_for("RabbitMQ has counted", told)
    idle.run("systemctl", "start", f"{deployment.app}-worker@reports.service")
    assert {line.effects for line in deployment.all_effects(keys).values()} == {1}


def test_prometheus_is_refused_without_a_certificate_and_in_plain_text(deployment: Deployment) -> None:
    nobody = {**tls_of(deployment), "certificate": ""}
    for tls in (nobody, None):
        answer = page(deployment, METRICS_PORT, "/metrics", tls)
        assert answer["refused"] or answer["status"] == 400, answer
        assert "rabbitmq_" not in answer["body"]


def policies(deployment: Deployment) -> dict[str, dict[str, Any]]:
    return {row["name"]: json.loads(row["definition"]) for row in listed(deployment, "list_policies")}


def certificate_of(deployment: Deployment, server: Server) -> str:
    """What RabbitMQ shows a client."""
    pki = f"/etc/{deployment.app}/pki"
    hello = (
        f"openssl s_client -connect localhost:5671 -cert {pki}/status.crt -key {pki}/status.key </dev/null 2>/dev/null"
    )
    return server.run("sh", "-c", f"{hello} | openssl x509 -noout -serial")
