"""A backup brings back what was there when it was made, and what cannot come back stops nothing."""

from __future__ import annotations

import json
import re
import subprocess
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from cluster import Cluster, ClusterFailed
from resources.effects import once
from resources.waiting import wait_for

from tests.cluster import bucket
from tests.cluster.release import BRIEF, Release, name_of, new_namespace

BACKUP: dict[str, Any] = {"enabled": True, "storage": {"size": "1Gi"}}
DUE = "UPDATE celery_ops_outboxmessage SET next_send_at = now() WHERE acknowledged_at IS NULL"
LARGE_OBJECT = """
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("SELECT lo_from_bytea(0, 'large')")
"""
SWEEP = "import config.celery\nfrom celery_ops.sweep import sweep\nsweep()"


@pytest.fixture(scope="module")
def release(empty_release: Release) -> Release:
    empty_release.files += (BRIEF,)
    empty_release.install(described())
    return empty_release


def described(**kubernetes: Any) -> dict[str, Any]:
    return {"backup": {"kubernetes": BACKUP | kubernetes}, "pools": {"io": {"scale": {"min": 1, "max": 2}}}}


def begun(release: Release) -> str:
    """The Job of a new backup."""
    job = f"backup-{uuid.uuid4().hex[:6]}"
    release.kubectl("create", "job", "--from=cronjob/shop-backup", job)
    return job


def backed_up(release: Release) -> str:
    """The name of a new backup."""
    job = begun(release)
    try:
        release.wait(f"job/{job}", "condition=Complete", seconds=300)
    except ClusterFailed as failed:
        raise AssertionError(words_of(release, job)) from failed
    said = re.search(r"^backup (\S+)$", log_of(release, job), re.MULTILINE)
    assert said
    return said[1]


def log_of(release: Release, job: str) -> str:
    return release.kubectl("logs", f"job/{job}", "--container=backup")


def words_of(release: Release, job: str) -> str:
    """What its tries have said so far."""
    pods = release.get("pods", f"--selector=batch.kubernetes.io/job-name={job}")
    return "".join(
        release.kubectl("logs", name_of(pod), "--container=backup")
        for pod in pods
        if pod["status"]["phase"] in ("Running", "Failed")
    )


def scale_default(release: Release, replicas: int) -> None:
    release.kubectl("scale", "deployment/shop-worker-default", f"--replicas={replicas}")
    wait_for(
        "the pool has its workers",
        lambda: len(release.pods("worker", "default")) == replicas and not release.leaving_pods("worker", "default"),
        120,
    )


def test_a_restore_brings_data_and_tasks_of_the_backup_back(release: Release) -> None:
    ended = release.send_effects("ended", 2, 0)
    release.all_effects(ended)
    # Of another owner, and with a transaction of its own in what pg_restore writes.
    release.sql("CREATE EXTENSION hstore")
    release.django(LARGE_OBJECT)
    scale_default(release, 0)
    outbox = release.send_effects("waiting", 3, 0)
    plain = release.send_plain("plain", 3, 0)
    made = backed_up(release)
    scale_default(release, 1)
    release.all_effects([*outbox, *plain])
    later = release.send_effects("later", 2, 0)
    release.all_effects(later)
    running = release.send_effects("running", 1, 15)
    wait_for("it runs", lambda: release.ledger(running))

    release.upgrade(described(restore=made))
    assert not release.pods("worker") + release.pods("web") + release.pods("beat")
    assert release.ledger([*later, *outbox, *plain, *running]) == {}
    assert once(release.ledger(ended))
    assert release.sql("SELECT count(*) FROM pg_largeobject_metadata") == [["1"]]

    release.upgrade(described())
    release.sql(DUE)
    release.django(SWEEP)
    assert once(release.all_effects([*outbox, *plain], 180))
    assert release.ledger([*later, *running]) == {}


def in_backups(release: Release, script: str) -> str:
    """What a shell says that has the volume of the backups."""
    name = f"shell-{uuid.uuid4().hex[:6]}"
    create = ("create", "job", "--from=cronjob/shop-backup", name, "--dry-run=client", "--output=json")
    job = json.loads(release.kubectl(*create))
    job["spec"]["template"]["spec"]["containers"][0]["command"] = ["sh", "-ec", script]
    release.apply(json.dumps(job))
    release.wait(f"job/{name}", "condition=Complete", seconds=300)
    return log_of(release, name)


def refusal(release: Release, name: str, **kubernetes: Any) -> str:
    with pytest.raises(ClusterFailed) as refused:
        release.upgrade(described(restore=name, **kubernetes))
    return str(refused.value)


def test_what_cannot_come_back_stops_nothing(release: Release) -> None:
    made = backed_up(release)
    before = release.running_pods()
    assert "backup 20010101T000000Z: is none; there are " in (said := refusal(release, "20010101T000000Z"))
    assert made in said
    in_backups(release, f"cd /backups; cp -r {made} 20010101T000000Z; echo >>20010101T000000Z/redis.rdb.age")
    assert "redis.rdb.age: is not what was written, by its size or SHA-256; " in refusal(release, "20010101T000000Z")
    in_backups(release, 'cd /backups/20010101T000000Z; sed -i \'s/"app": "shop"/"app": "books"/\' manifest.json')
    assert "backup: is of the app books, and this is shop; " in refusal(release, "20010101T000000Z")
    in_backups(release, "rm -r /backups/20010101T000000Z")
    assert release.running_pods() == before


def test_what_could_not_be_restored_is_no_backup(release: Release) -> None:
    release.sql("CREATE TABLE of_another (id int)")
    job = begun(release)
    words = "relation of_another is not of the role shop, which could not restore it; "
    wait_for("it is refused", lambda: words in words_of(release, job), 180)
    release.kubectl("delete", "job", job)
    release.sql("DROP TABLE of_another")


def test_all_of_it_but_its_manifest_is_encrypted(release: Release) -> None:
    made = backed_up(release)
    heads = in_backups(release, f"for file in /backups/{made}/*; do basename $file; head -n 1 $file; done").splitlines()
    assert heads == [
        *("database.dump.age", "age-encryption.org/v1"),
        *("manifest.json", "{"),
        *("redis.rdb.age", "age-encryption.org/v1"),
    ]


@pytest.mark.long
def test_a_restore_that_breaks_off_is_tried_again_and_nothing_starts_before(release: Release) -> None:
    made = backed_up(release)
    (later,) = release.send_effects("later", 1, 0)
    release.all_effects([later])
    with ThreadPoolExecutor(1) as beside:
        with locked(release):
            upgrade = beside.submit(release.upgrade, described(restore=made))
            wait_for("it breaks off", lambda: "lock timeout" in words_of(release, "shop-restore"), 400)
            assert release.ledger([later])
            release.kubectl("scale", "deployment/shop-beat", "--replicas=1")
            wait_for("beat waits", lambda: "A restore has not ended" in first_words(release, "beat"), 120)
            release.kubectl("scale", "deployment/shop-beat", "--replicas=0")
        upgrade.result()
    assert release.ledger([later]) == {}
    release.upgrade(described())
    assert once(release.all_effects(release.send_effects("after", 1, 0)))


@contextmanager
def locked(release: Release) -> Iterator[None]:
    """A session of the database that reads a table and does not end."""
    psql = ("psql", "--host=/run/stalk", "--username=postgres", "--dbname=shop")
    command = ("kubectl", "--namespace", release.namespace, "exec", "--stdin", "shop-postgresql-0", "--", *psql)
    cluster = release.cluster
    with subprocess.Popen(
        cluster.command(*command), env=cluster.environment, stdin=subprocess.PIPE, text=True
    ) as session:
        assert session.stdin
        session.stdin.write("BEGIN; SELECT count(*) FROM shop_ledgerentry;\n")
        session.stdin.flush()
        try:
            yield
        finally:
            session.stdin.close()


def first_words(release: Release, component: str) -> str:
    """What the first containers of its pods say."""
    return "".join(
        release.kubectl("logs", name_of(pod), "--container=migrations")
        for pod in release.pods(component)
        if any(
            status.get("state", {}).keys() - {"waiting"} for status in pod["status"].get("initContainerStatuses", [])
        )
    )


@pytest.mark.long
def test_a_backup_that_is_in_the_bucket_alone_comes_back(release: Release) -> None:
    s3 = bucket.provide(release)
    release.upgrade(described(s3={**s3, "secret": "its-leaf"}))
    failing = begun(release)
    said = "stalk: backup.kubernetes.s3.secret: names a Secret that lacks AWS_ACCESS_KEY_ID; add it"
    wait_for("it has no key", lambda: said in words_of(release, failing), 180)

    release.upgrade(described(s3={**s3, "url": s3["url"].replace("/bucket/", "/none/")}))
    release.wait(f"job/{(failing := begun(release))}", "condition=Failed", seconds=300)
    said = words_of(release, failing)
    assert "NoSuchBucket" in said
    (unsent,) = re.findall(r"^backup (\S+)$", said, re.MULTILINE)

    release.upgrade(described(s3=s3))
    (before,) = release.send_effects("before", 1, 0)
    release.all_effects([before])
    made = backed_up(release)
    (later,) = release.send_effects("later", 1, 0)
    release.all_effects([later])
    in_backups(release, "rm -r /backups/2*")
    said = refusal(release, "20010101T000000Z", s3=s3)
    assert "backup 20010101T000000Z: is neither in /backups nor in https://bucket." in said
    assert made in said
    assert unsent in said, "it went there with the next"

    release.upgrade(described(s3=s3, restore=made))
    assert set(release.ledger([before, later])) == {before}
    release.upgrade(described(s3=s3, keep=1))
    newest = backed_up(release)
    assert f"which has {newest};" in refusal(release, made, s3=s3), "the bucket has no more than is kept"


RABBITMQ = {"kind": "rabbitmq", "maxmemory": "256mb", "disk_free_limit": "100mb"}


@pytest.fixture(params=[{"kind": "valkey"}, {"topology": "sentinel"}, RABBITMQ], ids=str)
def other(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[tuple[Release, dict[str, Any]]]:
    """A release with another broker, and its description."""
    with new_namespace(cluster, "backup") as namespace:
        release = Release(cluster, namespace)
        release.prepare()
        release.files += (BRIEF,)
        values = {**described(), "broker": request.param}
        release.install(values)
        yield release, values


@pytest.mark.long
def test_a_backup_beside_another_broker_comes_back(other: tuple[Release, dict[str, Any]]) -> None:
    release, values = other
    (before,) = release.send_effects("before", 1, 0)
    release.all_effects([before])
    scale_default(release, 0)
    plain = release.send_plain("plain", 3, 0)
    made = backed_up(release)
    scale_default(release, 1)
    (later,) = release.send_effects("later", 1, 0)
    release.all_effects([later, *plain])

    release.upgrade({**values, **described(restore=made)})
    assert set(release.ledger([before, later, *plain])) == {before}
    release.upgrade(values)
    after = release.send_effects("after", 1, 0)
    # What waits in RabbitMQ is in no backup.
    came_back = [] if values["broker"].get("kind") == "rabbitmq" else plain
    assert once(release.all_effects([*after, *came_back], 180))
