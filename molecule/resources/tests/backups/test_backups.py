"""A backup brings back what was there when it was made, and a restore that is refused or interrupted loses nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyrage import x25519
from resources.deployment import Deployment, Run, Server
from resources.effects import SECONDS_UNTIL_A_LOST_MESSAGE_IS_BACK, once
from resources.refused import away
from resources.waiting import wait_for

# The message of a task that ended between the copy of the broker and that of the database, and one whose row is gone.
COPIES = """
import config.celery
from celery_ops.models import OutboxMessage
from celery_ops.outbox import HEADER
from shop.tasks import record_effect
ended = OutboxMessage.objects.get(args__0={ended!r}).id
for task_id, key in ((ended, {ended!r}), ({unknown!r}, {unknown!r})):
    record_effect.apply_async((key, 0), task_id=task_id, headers={{HEADER: True}})
"""
# As one that was sent between the two: the row says so, and the broker's copy has no message.
OPEN = """
import config.celery
from celery_ops import outbox
from django.db import transaction
from shop.tasks import record_effect
outbox.send = lambda app, message: None
with transaction.atomic():
    record_effect.apply_async_on_commit(({key!r}, 0))
"""
# Where broker and database may be of two times.
OF_TWO_TIMES = ("TASK [Redis or Valkey stops]", "TASK [Both are of one time]")
# With Redis a backup has what is in the broker too; `make test` tries it there.
pytestmark = [] if Path(os.environ.get("MOLECULE_SCENARIO_DIRECTORY", "")).name == "default" else [pytest.mark.long]
DUE = "UPDATE celery_ops_outboxmessage SET next_send_at = now() WHERE acknowledged_at IS NULL"


@pytest.fixture(autouse=True)
def _nothing_is_left(deployment: Deployment) -> Iterator[None]:
    yield
    server = deployment.first("postgresql")
    names = psql(server, "SELECT datname FROM pg_database").split()
    for name in names:
        if name.startswith(f"{deployment.app}_"):
            psql(server, f"DROP DATABASE {name}")
    for host in deployment.on("redis") if deployment.broker == "redis" else []:
        host.run("sh", "-c", f"rm -rf /var/lib/{deployment.app}-*.left-* /var/lib/{deployment.app}-*.restored-*")
    shutil.rmtree(folder_of(deployment), ignore_errors=True)


def psql(server: Server, statement: str) -> str:
    return server.run("psql", "-h", "/run/postgresql", "-U", "postgres", "-qAtX", "-c", statement)


def folder_of(deployment: Deployment) -> Path:
    return deployment.state / f"backups-{deployment.app}"


def backup(deployment: Deployment, **variables: Any) -> Path:
    run = deployment.play("backup.yml", **variables)
    assert run.rc == 0, run.output
    return max(path.parent for path in folder_of(deployment).glob("*/manifest.json"))


def restore(deployment: Deployment, *arguments: str, **variables: Any) -> Run:
    return deployment.play(
        "restore.yml", *arguments, **{"stalk_backup": "latest", "stalk_restore": deployment.app, **variables}
    )


def restored(deployment: Deployment) -> Run:
    run = restore(deployment, "-vvv")
    assert run.rc == 0, run.output
    return run


def nothing_is_open(deployment: Deployment, run: Run) -> bool:
    """Whether no host has the private key, or a file of the run, and the run did not tell the key."""
    identity = deployment.secret("BACKUP_IDENTITY")
    for server in deployment.servers.values():
        found = server.attempt(
            "grep", "-rlaF", identity, "/etc", "/run", "/root", "/tmp", "/var/lib", "/var/log"
        ).stdout
        assert found == "", server
        assert server.run("find", "/root", "/home", "/tmp", "/var", "/run", "-xdev", "-name", "*.age") == ""
    return identity not in run.output


def runs(deployment: Deployment) -> dict[str, dict[str, str]]:
    """By server the ids of the runs of all units."""
    return {server.name: server.invocations(f"{deployment.app}-*.service") for server in deployment.servers.values()}


def test_a_restore_brings_data_and_tasks_of_the_backup_back(deployment: Deployment) -> None:
    workers = [(server, f"{deployment.app}-worker@default.service") for server in deployment.on("worker")]
    (ended,) = deployment.send_effects("ended", 1, 0)
    deployment.all_effects([ended])
    unknown, still_open = f"unknown-{ended}", f"open-{ended}"
    (server, unit), *others = workers
    assert not others, "one pool is away"
    with away(server, unit):
        outbox = deployment.send_effects("waiting", 3, 0)
        deployment.django(COPIES.format(ended=ended, unknown=unknown))
        plain = deployment.send_plain("plain", 3, 0)
        deployment.django(OPEN.format(key=still_open))
        made = backup(deployment)
    deployment.all_effects([*outbox, *plain])
    later = deployment.send_effects("later", 2, 0)
    deployment.all_effects(later)
    assert all(ended.encode() not in path.read_bytes() for path in made.iterdir())

    run = restored(deployment)
    assert nothing_is_open(deployment, run)
    assert deployment.ledger(later) == {}
    # The sweep would wait a minute from when they were sent.
    deployment.sql(DUE)
    deployment.django("import config.celery\nfrom celery_ops.sweep import sweep\nsweep()")
    in_broker = plain if deployment.broker == "redis" else []
    assert once(deployment.all_effects([*outbox, still_open, *in_broker]))
    # They stood before the plain ones, where the broker's data are of the backup: RabbitMQ's were consumed before.
    ledger = deployment.ledger([ended, unknown])
    assert ledger[ended].effects == 1
    assert unknown not in ledger or ledger[unknown].effects == 0

    assert deployment.converge().changed == 0
    assert backup(deployment, stalk_keep_backups=1) != made
    assert not made.exists()


@pytest.mark.long
def test_of_two_restores_from_two_control_nodes_one_ends(deployment: Deployment) -> None:
    before = deployment.send_effects("before", 2, 0)
    deployment.all_effects(before)
    made = backup(deployment)
    chosen = {"stalk_backup": str(made), "stalk_restore": deployment.app}
    first = come_to(deployment, "restore.yml", "TASK [Workers end their tasks", **chosen)
    os.killpg(first.pid, signal.SIGSTOP)
    try:
        second = restore(deployment, **chosen, stalk_backups=str(deployment.scratch / "other"))
    finally:
        os.killpg(first.pid, signal.SIGCONT)
        output = first.communicate()[0]
    assert second.rc == 0, second.output
    assert first.returncode != 0
    assert "is not there or not whole, as another restore is under way; " in output
    assert once(deployment.ledger(before))
    restored(deployment)


@pytest.mark.long
def test_what_ran_at_the_time_of_a_backup_runs_again(deployment: Deployment) -> None:
    # One after another, so that one runs at any time.
    keys = deployment.send_effects("running", 5, 10, "reports")
    wait_for("one runs", lambda: deployment.ledger(keys))
    backup(deployment)
    deployment.all_effects(keys)

    restored(deployment)
    assert any(not line.effects for line in deployment.ledger(keys).values())
    assert once(deployment.all_effects(keys, SECONDS_UNTIL_A_LOST_MESSAGE_IS_BACK))


@pytest.mark.long
def test_what_is_gone_altogether_comes_back(deployment: Deployment) -> None:
    keys = deployment.send_effects("before", 2, 0)
    deployment.all_effects(keys)
    backup(deployment)
    app, database = deployment.app, deployment.first("postgresql")
    psql(database, f"DROP DATABASE {app} WITH (FORCE)")
    if deployment.broker == "redis":
        server = deployment.first("redis")
        server.run("systemctl", "stop", f"{app}-redis.service")
        server.run("rm", "-r", f"/var/lib/{app}-{deployment.broker_kind}")

    restored(deployment)
    assert once(deployment.ledger(keys))
    assert once(deployment.all_effects(deployment.send_effects("after", 2, 0)))


def test_what_cannot_or_should_not_be_restored_is_refused_in_one_line(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = backup(deployment)
    before = runs(deployment)

    def line(**variables: Any) -> str:
        run = restore(deployment, **variables)
        assert run.rc != 0, run.output
        said, *end = run.message.splitlines()
        assert end == ["Nothing was changed."] or not end, run.output
        assert "Traceback" not in run.output
        return said

    assert line(stalk_restore="").startswith(f"stalk_restore: is not set, and this stops {deployment.app} and puts ")
    assert line(stalk_backup="20010101T000000Z").startswith("backup 20010101T000000Z: is none; ")
    other = {"BACKUP_IDENTITY": str(x25519.Identity.generate())}
    assert line(stalk_secrets=other).startswith("secret BACKUP_IDENTITY: is not the one whose public key is age1")
    if deployment.broker == "redis":
        server, data = deployment.first("redis"), f"/var/lib/{deployment.app}-{deployment.broker_kind}"
        server.run("mount", "--bind", data, data)
        try:
            assert line().startswith(f"broker: is not restored: {data} is a mount point, ")
        finally:
            server.run("umount", "--lazy", data)
    manifest = made / "manifest.json"
    genuine = manifest.read_text()
    manifest.write_text(genuine.replace('"releases": [', '"releases": ["another",', 1))
    assert line().startswith(f"{manifest}: is not what a backup wrote, ")
    manifest.write_text(genuine)
    with monkeypatch.context() as patch:
        patch.setitem(deployment.environment, "ANSIBLE_PIPELINING", "0")
        assert line().startswith("pipelining: is off, ")
    dump = made / "database.dump.age"
    dump.write_bytes(dump.read_bytes()[:-1])
    assert line().startswith(f"{dump}: is not what was written, by its size or SHA-256; ")
    assert runs(deployment) == before


def test_nothing_is_deployed_or_copied_until_a_restore_has_ended(deployment: Deployment) -> None:
    server, mark = deployment.first("postgresql"), f"/var/lib/{deployment.app}-restoring"
    before = runs(deployment)
    server.run("touch", mark)
    try:
        for playbook in ("site.yml", "backup.yml"):
            run = deployment.play(playbook)
            assert f"{server.name}: a restore did not end, " in run.message, run.output
    finally:
        server.run("rm", mark)
    assert runs(deployment) == before


def come_to(deployment: Deployment, playbook: str, where: str, **variables: Any) -> subprocess.Popen[str]:
    process = deployment.begin(playbook, **variables)
    assert process.stdout
    assert next((line for line in process.stdout if where in line), None), where
    return process


def killed(deployment: Deployment, playbook: str, where: str, **variables: Any) -> None:
    """The control node is gone when a run comes there."""
    process = come_to(deployment, playbook, where, **variables)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_second_run_beside_another_is_refused(deployment: Deployment) -> None:
    process = come_to(deployment, "backup.yml", "TASK [Database]")
    os.killpg(process.pid, signal.SIGSTOP)
    try:
        run = deployment.play("backup.yml")
    finally:
        os.killpg(process.pid, signal.SIGCONT)
        output = process.communicate()[0]
    assert run.rc != 0
    assert f"another backup or restore is under way, in process {process.pid}; " in run.message
    assert process.returncode == 0, output


@pytest.mark.long
@pytest.mark.parametrize("where", ["TASK [Broker]", "TASK [Database]", "TASK [Backup is whole]"])
def test_a_backup_that_was_interrupted_is_none(deployment: Deployment, where: str) -> None:
    killed(deployment, "backup.yml", where)
    left = list(folder_of(deployment).glob("[!.]*"))
    assert left == [] or (len(left) == 1 and (left[0] / "manifest.json").exists())
    backup(deployment)
    restored(deployment)


@pytest.mark.long
@pytest.mark.parametrize(
    "where",
    [
        "PLAY [Data of the backup, beside",
        "PLAY [App]",
        "TASK [Workers end their tasks",
        "PLAY [Data of the backup, in",
        "TASK [Redis or Valkey stops]",
        "TASK [Both are of one time]",
        "TASK [Redis or Valkey starts]",
        "PLAY [Pools]",
        "TASK [They work again]",
    ],
)
def test_a_restore_that_was_interrupted_is_run_again(deployment: Deployment, where: str) -> None:
    if "Redis" in where and deployment.broker != "redis":
        pytest.skip("of Redis alone")
    before = deployment.send_effects("before", 2, 0)
    deployment.all_effects(before)
    backup(deployment)
    later = deployment.send_effects("later", 2, 0)
    deployment.all_effects(later)

    killed(deployment, "restore.yml", where, stalk_backup="latest", stalk_restore=deployment.app)
    if where in OF_TWO_TIMES:
        assert ": a restore did not end, " in deployment.play("site.yml").message
    restored(deployment)
    assert once(deployment.ledger(before))
    assert deployment.ledger(later) == {}
    server = deployment.first("postgresql")
    kept = psql(server, f"SELECT datname FROM pg_database WHERE datname LIKE '{deployment.app}_before_%'").split()
    counts = [
        server.run(
            "psql", "-h", "/run/postgresql", "-U", "postgres", "-qAtX", "-d", name, "-c", count_of(later)
        ).strip()
        for name in kept
    ]
    assert "2" in counts
    assert once(deployment.all_effects(deployment.send_effects("after", 2, 0)))


def count_of(keys: list[str]) -> str:
    listed = ", ".join(f"'{key}'" for key in keys)
    return f"SELECT count(*) FROM shop_ledgerentry WHERE key IN ({listed})"
