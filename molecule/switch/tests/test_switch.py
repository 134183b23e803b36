"""A busy system goes to a broker of another kind and back: no task is lost, what the outbox sent takes effect once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import pytest
from resources.deployment import Deployment, Run
from resources.load import repeated
from resources.waiting import wait_for

TO_RABBITMQ: dict[str, Any] = {"broker": {"kind": "rabbitmq"}}
MOVER = "shop-manage-move-messages.service"
# Every pool has to work them off, on a machine that does other things too.
SECONDS_TO_WORK_OFF = 900
ENOUGH_TO_KILL_THE_MOVER_AMONG = 1000


@dataclass
class Sent:
    """Keys in the ledger."""

    outbox: list[str] = field(default_factory=list)
    plain: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[str]:
        return iter([*self.outbox, *self.plain])


def switch(deployment: Deployment, changes: dict[str, Any]) -> Run:
    return deployment.site_by("switch_broker.yml", changes=changes)


def load(deployment: Deployment, sent: Sent) -> AbstractContextManager[None]:
    """Tasks that are sent all the time: short and long ones, for now and for later."""

    def send() -> None:
        sent.outbox += deployment.send_effects("short", 2, 0.1)
        sent.outbox += deployment.send_effects("later", 1, 0, countdown=15)
        sent.plain += deployment.send_plain("plain", 2, 0.1, "high_priority")
        sent.plain += deployment.send_plain("plain-later", 1, 0, countdown=15)
        sent.plain += deployment.send_plain("long", 1, 6)

    return repeated(send)


def assert_nothing_is_lost(deployment: Deployment, sent: Sent) -> None:
    ledger = deployment.all_effects(sent, SECONDS_TO_WORK_OFF)
    assert {key: ledger[key].effects for key in sent.outbox} == dict.fromkeys(sent.outbox, 1)


def length_in_redis(deployment: Deployment, queue: str) -> int:
    """What the user `status` counts there."""
    app, pki = deployment.app, f"/etc/{deployment.app}/pki"
    tls = ["--tls", "--cacert", f"{pki}/ca.crt", "--cert", f"{pki}/status.crt", "--key", f"{pki}/status.key"]
    login = f"REDISCLI_AUTH=$(cat /etc/{app}/credentials/status/REDIS_PASSWORD_status)"
    command = f'{login} exec redis-cli --user status "$@"'
    asked = ["sh", "-c", command, "redis-cli", *tls, "LLEN", f"{app}:{queue}"]
    return int(deployment.first("redis").run(*asked).strip() or 0)


def has_unit(deployment: Deployment, broker: str) -> bool:
    found: bool = deployment.first(broker).shell.file(f"/etc/systemd/system/{deployment.app}-{broker}.service").exists
    return found


def dead_letters_in_rabbitmq(deployment: Deployment) -> int:
    listed = ["--quiet", "list_queues", "--vhost", deployment.app, "--no-table-headers", "name", "messages"]
    lengths = deployment.first("rabbitmq").run(f"/usr/local/lib/{deployment.app}/rabbitmqctl", *listed)
    return next(int(line.split()[1]) for line in lengths.splitlines() if line.startswith("@dead.reports"))


@pytest.fixture(scope="module")
def waiting(deployment: Deployment) -> Sent:
    """Many messages in a queue whose pool stands still, and one in the hand of a worker that was killed."""
    server, app = deployment.first("worker"), deployment.app
    server.run("systemctl", "stop", f"{app}-worker@reports.service")
    sent = Sent(plain=deployment.send_plain("waiting", ENOUGH_TO_KILL_THE_MOVER_AMONG, 0, "reports"))
    held = deployment.send_plain("held", 1, 8, "high_priority")
    wait_for("a task runs", lambda: deployment.ledger(held))
    server.run("kill", "-KILL", server.property(f"{app}-worker@high.service", "MainPID"))
    sent.plain += held
    return sent


def test_site_refuses_while_the_old_broker_has_messages(deployment: Deployment, waiting: Sent) -> None:
    run = deployment.site(changes=TO_RABBITMQ)
    assert run.message == (
        "broker.kind: is rabbitmq, and the redis on stalk-switch has this stack's messages (queue reports: "
        f"{ENOUGH_TO_KILL_THE_MOVER_AMONG} messages wait; workers hold 1 message); run playbooks/switch_broker.yml, "
        "which moves them, or leave them there with -e stalk_abandon=celery,high_priority,reports,webhooks\n"
        "Nothing was changed."
    )
    assert run.changed == 0
    assert not has_unit(deployment, "rabbitmq")


def test_no_process_leaves_together_with_the_broker(deployment: Deployment) -> None:
    run = switch(deployment, {**TO_RABBITMQ, "beat": {"enabled": False}})
    assert run.message == (
        "broker.kind: is rabbitmq, and beat on stalk-switch would use the redis until the end of the run that takes "
        "it away; describe it there until the broker has changed"
    )
    assert run.changed == 0


def test_nothing_is_lost_on_the_way_to_rabbitmq_though_the_mover_is_killed(
    deployment: Deployment, waiting: Sent
) -> None:
    server = deployment.first("worker")

    def kill_the_mover() -> None:
        def has_begun() -> bool:
            return server.is_active(MOVER) and length_in_redis(deployment, "reports") < ENOUGH_TO_KILL_THE_MOVER_AMONG

        wait_for("messages are moved", has_begun, seconds=900)
        server.run("systemctl", "kill", "--signal=SIGKILL", MOVER)

    with load(deployment, waiting):
        killer = threading.Thread(target=kill_the_mover)
        killer.start()
        interrupted = switch(deployment, TO_RABBITMQ)
        killer.join()
        assert "none is lost; run again" in interrupted.message, interrupted.output
        assert length_in_redis(deployment, "reports") > 0

        run = switch(deployment, TO_RABBITMQ)
        assert run.rc == 0, run.output
    assert_nothing_is_lost(deployment, waiting)


def test_redis_has_left_the_host_and_a_second_run_changes_nothing(deployment: Deployment) -> None:
    server, app = deployment.first("redis"), deployment.app
    assert not has_unit(deployment, "redis")
    left = [
        f"/etc/{app}/redis",
        f"/etc/{app}/credentials/redis",
        f"/etc/{app}/credentials/left",
        f"/var/lib/{app}-redis",
    ]
    left += [f"/etc/{app}/pki/redis.key", f"/etc/{app}/credentials/status/REDIS_PASSWORD_status"]
    assert [path for path in left if server.shell.file(path).exists] == []
    assert server.run("sh", "-c", f"ls -d /var/lib/{app}-redis.left-*/appendonlydir").strip()
    assert "redis" not in (deployment.state / f"deployed-{app}.yml").read_text()
    rights = server.run(f"/usr/local/lib/{app}/rabbitmqctl", "--quiet", "list_permissions", "--vhost", app)
    assert ".*\t.*\t.*" not in rights
    again = deployment.site(changes=TO_RABBITMQ)
    assert (again.rc, again.changed) == (0, 0), again.output


def test_nothing_is_lost_on_the_way_back(deployment: Deployment) -> None:
    sent = Sent()
    deployment.django("from config.celery import app\napp.send_task('shop.tasks.unknown', queue='reports')\n")
    # A worker of Redis would drop it.
    wait_for("RabbitMQ has a dead letter", lambda: dead_letters_in_rabbitmq(deployment) == 1)
    sent.plain += deployment.send_plain("much-later", 2, 0, countdown=120)
    with load(deployment, sent):
        run = switch(deployment, {})
        assert run.rc == 0, run.output
    assert_nothing_is_lost(deployment, sent)
    # The dead letter waits where no pool takes it.
    assert length_in_redis(deployment, "@dead.reports") == 1
    assert not has_unit(deployment, "rabbitmq")
    assert "rabbitmq" not in (deployment.state / f"deployed-{deployment.app}.yml").read_text()
    again = deployment.site()
    assert (again.rc, again.changed) == (0, 0), again.output
