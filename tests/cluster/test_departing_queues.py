"""A description in which no pool consumes a queue any more: refused while it has messages, before anything changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from cluster import ClusterFailed
from resources.effects import once
from resources.waiting import wait_for

from tests.cluster.desk import NAME, Desk
from tests.cluster.release import BRIEF, Release

SECONDS_AHEAD = 600
APP = {"longest_eta": SECONDS_AHEAD}
WITHOUT = {"app": APP}
ABANDONED = {**WITHOUT, "kubernetes": {"abandon": ["archive"]}}
PAST = "and no pool would consume it; keep a pool for it until it is empty, or leave what it holds with "
INSTALLED = 1


def with_pool(workers: int) -> dict[str, Any]:
    pool = {"queues": ["archive"], "concurrency": 1, "time_limit": 60, "soft_time_limit": 50}
    return {
        "app": {**APP, "queues": ["archive"]},
        "pools": {"archive": {**pool, "kubernetes": {"replicas": workers}}},
    }


@pytest.fixture(scope="module")
def release(empty_release: Release) -> Release:
    empty_release.files += (BRIEF,)
    empty_release.install(WITHOUT)
    return empty_release


@pytest.fixture
def pool(release: Release, desk: Desk) -> Iterator[None]:
    """A pool whose queue nobody empties, as it has no worker."""
    release.upgrade(with_pool(0))
    yield
    in_the_broker(release, "channel.queue_purge('archive')")


def in_the_broker(release: Release, expression: str) -> str:
    """What Python says of the broker's `channel`, with the rights of a worker."""
    code = f"""
import django
django.setup()
from config.celery import app
with app.connection_for_read() as connection:
    channel = connection.channel()
    print({expression})
"""
    return release.execute(NAME, "python", "-", stdin=code).splitlines()[-1]


def send(release: Release, count: int, **options: int) -> None:
    """Messages that the sweep of the outbox does not send again."""
    code = "import config.celery\nfrom shop.tasks import record_effect\n"
    code += f"for number in range({count}):\n"
    code += f"    record_effect.apply_async((f'archived-{{number}}', 0), queue='archive', **{options})\n"
    release.django(code)


def waiting(release: Release) -> int:
    return int(in_the_broker(release, "channel.client.llen('archive')"))


def deployed(release: Release) -> Any:
    """The revision that is in force, with its values."""
    history = json.loads(release.helm("history", "--output=json"))
    (revision,) = (each["revision"] for each in history if each["status"] == "deployed")
    where = ("--namespace", release.namespace, f"--revision={revision}")
    return revision, yaml.safe_load(release.cluster.helm("get", "values", release.name, *where))


def state(release: Release) -> tuple[Any, ...]:
    """All that a release changes: of each object a number that another content would change, pods and values."""
    found = release.get("deployments,statefulsets,services,configmaps,networkpolicies,secrets,cronjobs")
    about = {f"{one['kind']}/{one['metadata']['name']}": one["metadata"] for one in found if not is_history(one)}
    numbers = {name: each.get("generation", each["resourceVersion"]) for name, each in about.items()}
    return numbers, release.running_pods(), deployed(release)


def is_history(one: dict[str, Any]) -> bool:
    """Helm's own note of a revision."""
    return bool(one.get("type") == "helm.sh/release.v1")


def test_a_queue_with_messages_is_kept_and_work_goes_on(release: Release, desk: Desk, pool: None) -> None:
    send(release, 2)
    before = state(release)
    with desk.flow("celery", "webhooks") as keys, pytest.raises(ClusterFailed) as refused:
        release.upgrade(WITHOUT)
    said = str(refused.value)
    assert f"queue archive: 2 messages wait {PAST}helm upgrade --set 'kubernetes.abandon={{archive}}'" in said
    assert "Nothing was changed." in said
    assert state(release) == before
    assert once(release.all_effects(keys))


@pytest.mark.long
def test_no_rollback_leaves_it_either_and_the_next_one_ends_that(release: Release, pool: None) -> None:
    send(release, 1)
    before = state(release)
    with pytest.raises(ClusterFailed, match=f"queue archive: 1 message waits {PAST}.*helm rollback --no-hooks"):
        release.rollback(INSTALLED)
    assert state(release) == before
    pods, values = release.running_pods(), deployed(release)[1]
    release.rollback()
    assert (release.running_pods(), deployed(release)[1]) == (pods, values)
    release.helm("rollback", str(INSTALLED), "--no-hooks", "--wait")
    assert "archive" not in str(release.get("deployments"))


@pytest.mark.long
def test_an_abandoned_queue_goes_and_keeps_its_messages(release: Release, pool: None) -> None:
    send(release, 3)
    release.upgrade(ABANDONED)
    assert release.get("deployments", "--selector", "stalk.celery/pool=archive") == []
    assert waiting(release) == 3
    with pytest.raises(ClusterFailed, match="queue archive: 3 messages wait "):
        release.upgrade(WITHOUT)


def test_an_empty_queue_goes_and_what_comes_later_is_named(release: Release, pool: None) -> None:
    release.upgrade(WITHOUT)
    assert release.get("deployments", "--selector", "stalk.celery/pool=archive") == []
    send(release, 1)
    with pytest.raises(ClusterFailed, match="queue archive: 1 message waits "):
        release.upgrade(WITHOUT)


@pytest.mark.long
def test_what_a_worker_holds_for_later_counts(release: Release, pool: None) -> None:
    release.upgrade(with_pool(1))
    send(release, 1, countdown=SECONDS_AHEAD)
    wait_for("a worker holds it", lambda: in_the_broker(release, "channel.client.hlen('unacked')") == "1")
    before = state(release)
    with pytest.raises(ClusterFailed, match=f"queue archive: a worker holds 1 message for later {PAST}"):
        release.upgrade(WITHOUT)
    assert state(release) == before
    release.upgrade(ABANDONED)
    wait_for("it is given back", lambda: waiting(release) == 1)


def test_the_broker_keeps_its_kind_while_it_has_messages(release: Release, pool: None) -> None:
    send(release, 2)
    before = state(release)
    external = {"kind": "external", "kubernetes": {"existingSecret": {"name": "managed"}}}
    said = r"broker\.kind: external would begin empty, and leave what redis has to nobody \(.*queue archive: 2 messages"
    with pytest.raises(ClusterFailed, match=said):
        release.upgrade({**with_pool(0), "broker": external})
    assert state(release) == before


def test_the_app_keeps_its_name(release: Release) -> None:
    before = state(release)
    with pytest.raises(ClusterFailed, match=r"app\.name: books would begin empty, and leave the messages"):
        release.upgrade({"app": {**APP, "name": "books"}})
    assert state(release) == before
