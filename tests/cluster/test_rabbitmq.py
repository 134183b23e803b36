"""The chart with RabbitMQ, by one word of the description."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from cluster import ClusterFailed
from resources.certificates import Authority
from resources.effects import once
from resources.task_behaviour import TaskBehaviour
from resources.waiting import wait_for
from storefront import watch

from tests.cluster.desk import Desk
from tests.cluster.greeting import NOBODY, answer_of, authority_of, is_refused
from tests.cluster.ledger import ended_where_they_began, holders, until_all_run
from tests.cluster.rabbitmq import listed, rabbitmqctl
from tests.cluster.release import BRIEF, Release, name_of

ORDERS = 10
MOST = 3
SECONDS_AHEAD = 5
SECONDS_UNTIL_ALL_IS_WELL = 300
MEGABYTES = 256
BROKER: dict[str, Any] = {
    "kind": "rabbitmq",
    "maxmemory": f"{MEGABYTES}mb",
    "disk_free_limit": f"{MEGABYTES}mb",
    "metrics": {"enabled": True},
}
SCALED = {"concurrency": 1, "scale": {"min": 1, "max": MOST, "queue_length": 2}}
# The test's Prometheus is in a pod of web.
SCRAPERS = [{"podSelector": {"matchLabels": {"app.kubernetes.io/component": "web"}}}]
VALUES: dict[str, Any] = {
    "broker": BROKER,
    "pools": {"default": SCALED},
    "flower": {"enabled": True},
    "kubernetes": {"networkPolicy": {"metrics": SCRAPERS}},
}
ARCHIVE = {"queues": ["archive"], "concurrency": 1, "time_limit": 60, "soft_time_limit": 50}


def with_archive(workers: int) -> dict[str, Any]:
    pools = {"default": SCALED, "archive": {**ARCHIVE, "kubernetes": {"replicas": workers}}}
    return {**VALUES, "app": {"queues": ["archive"]}, "pools": pools}


@pytest.fixture(scope="module")
def release(empty_release: Release) -> Release:
    empty_release.files += (BRIEF,)
    empty_release.install(VALUES)
    empty_release.shorten_lull()
    return empty_release


@pytest.fixture
def stack(release: Release) -> Release:
    return release


class TestTasks(TaskBehaviour):
    pass


def queues(release: Release) -> dict[str, str]:
    """The type of each queue of tasks."""
    found = listed(release, "list_queues", "--vhost", "shop", "name", "type")
    return {name: kind for name, kind in found if "pidbox" not in name and not name.startswith("celery")}


def process(release: Release) -> tuple[str, int]:
    (pod,) = release.pods("rabbitmq")
    return pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]


def workers(release: Release) -> set[str]:
    return {name_of(pod) for pod in release.pods("worker", "default")}


def test_orders_that_are_placed_over_https_are_shipped(release: Release) -> None:
    with release.shop() as shop:
        assert watch(shop, shop.place_orders(ORDERS))["shipped"] == ORDERS


def test_there_is_no_redis(release: Release) -> None:
    assert "shop-redis" not in {made["metadata"]["name"] for made in release.get("secrets,services,statefulsets")}


def test_a_certificate_of_the_stack_is_let_in_as_far_as_the_password(release: Release) -> None:
    answer = answer_of(release, "rabbitmq", authority_of(release).leaf("worker"))
    assert answer == {"refused": None, "replies": ["PLAIN"]}


def test_no_certificate_another_cas_an_expired_one_and_plain_text_are_refused(release: Release) -> None:
    assert is_refused(release, "rabbitmq", NOBODY)
    assert is_refused(release, "rabbitmq", Authority.new("shop CA").leaf("worker"))
    assert is_refused(release, "rabbitmq", authority_of(release).leaf("worker", ends_in=-timedelta(hours=1)))
    assert is_refused(release, "rabbitmq", None)


def test_each_component_has_a_user_and_guest_is_none(release: Release) -> None:
    assert {line[0] for line in listed(release, "list_users")} == {
        "beat",
        "flower",
        "queues",
        "scaler",
        "web",
        "worker",
    }


def test_flower_counts_the_queues(release: Release) -> None:
    """By the management API, as who is logged in sees it, of the workers that it has asked."""
    ask = """
import base64, os, ssl, urllib.request
password = open(os.path.join(os.environ["CREDENTIALS_DIRECTORY"], "flower-users")).read().split()[0]
context = ssl.create_default_context(cafile="/etc/stalk/tls/ca.crt")
context.load_cert_chain("/etc/stalk/tls/tls.crt", "/etc/stalk/tls/tls.key")
login = {"Authorization": "Basic " + base64.b64encode(password.encode()).decode()}
for page in ("workers?refresh=1", "queues/length"):
    request = urllib.request.Request(f"https://localhost:5555/flower/api/{page}", headers=login)
    said = urllib.request.urlopen(request, context=context).read().decode()
print(said)
"""

    def counted() -> set[str]:
        said = json.loads(release.execute("deployment/shop-flower", "python", "-", container="flower", stdin=ask))
        return {each["name"] for each in said["active_queues"]}

    wait_for("Flower counts every pool's queue", lambda: counted() >= {"celery", "high_priority"})


def test_prometheus_hears_of_each_queue_with_the_certificate_that_is_for_it_alone(release: Release) -> None:
    ask = """
import json, ssl, sys, tempfile, urllib.request
given = json.load(sys.stdin)
context = ssl.create_default_context(cadata=given["ca.crt"])
if given["tls.crt"]:
    with tempfile.NamedTemporaryFile("w") as both:
        both.write(given["tls.crt"] + given["tls.key"])
        both.flush()
        context.load_cert_chain(both.name)
try:
    print(urllib.request.urlopen("https://shop-rabbitmq:15691/metrics/per-object", context=context).read().decode())
except OSError as error:
    print("refused:", error)
"""
    leaf = release.secret("shop-metrics-tls")

    def said(shown: dict[str, str]) -> str:
        command = ["deployment/shop-web", "python", "-c", ask]
        return release.execute(*command, container="web", stdin=json.dumps(shown))

    length = 'rabbitmq_queue_messages_ready{vhost="shop",queue="celery"}'
    wait_for("RabbitMQ has counted", lambda: length in said(leaf))
    assert said({**leaf, "tls.crt": ""}).startswith("refused")
    listeners = "[Protocol || {listener, _, Protocol, _, _, _, _} <- rabbit_networking:active_listeners()]."
    assert "'http/prometheus'" not in rabbitmqctl(release, "eval", listeners)


def test_a_task_that_is_sent_for_later_takes_effect_once(release: Release, desk: Desk) -> None:
    keys = desk.send("later", 2, 0, countdown=SECONDS_AHEAD)
    assert once(release.all_effects(keys, SECONDS_UNTIL_ALL_IS_WELL))


@pytest.mark.long
def test_a_queue_of_a_new_pool_takes_messages_without_a_restart_of_rabbitmq(release: Release, desk: Desk) -> None:
    before = process(release)
    assert "archive" not in queues(release)
    with desk.flow("celery", "webhooks") as keys:
        release.upgrade(with_archive(1))
        code = "import config.celery\nfrom shop.tasks import record_effect\n"
        release.django(f"{code}record_effect.apply_async(('to-a-new-queue', 0), queue='archive')")
    assert once(release.all_effects([*keys, "to-a-new-queue"], SECONDS_UNTIL_ALL_IS_WELL))
    assert queues(release)["archive"] == "quorum"
    assert queues(release)["@dead.archive"] == "quorum"
    assert process(release) == before


@pytest.mark.long
def test_a_queue_with_messages_keeps_its_pool_and_the_broker_its_kind(release: Release) -> None:
    release.upgrade(with_archive(0))
    code = "import config.celery\nfrom shop.tasks import record_effect\n"
    release.django(f"{code}record_effect.apply_async(('left', 0), queue='archive')")
    with pytest.raises(ClusterFailed, match="queue archive: 1 message waits "):
        release.upgrade(VALUES)
    redis = {**with_archive(0), "broker": {"kind": "redis"}}
    said = r"broker\.kind: redis would begin empty, and leave what rabbitmq has to nobody \(.*queue archive: 1 message"
    with pytest.raises(ClusterFailed, match=said):
        release.upgrade(redis)
    rabbitmqctl(release, "purge_queue", "--vhost", "shop", "archive")
    release.upgrade(VALUES)
    assert release.get("deployments", "--selector", "stalk.celery/pool=archive") == []


@pytest.mark.long
@pytest.mark.parametrize(
    ("setting", "short", "alarm"),
    [
        (("set_vm_memory_high_watermark", "absolute"), "1MB", "memory"),
        (("set_disk_free_limit",), "100000GB", "disk"),
    ],
)
def test_nothing_is_taken_in_a_shortage_and_no_task_is_lost(
    release: Release, desk: Desk, setting: tuple[str, ...], short: str, alarm: str
) -> None:
    def alarms() -> str:
        return rabbitmqctl(release, "eval", "rabbit_alarm:get_alarms().")

    rabbitmqctl(release, *setting, short)
    try:
        wait_for(f"RabbitMQ is short of {alarm}", lambda: alarm in alarms())
        keys = desk.send("without-room", 3)
        assert (release.unsent(keys), release.ledger(keys)) == (len(keys), {})
    finally:
        rabbitmqctl(release, *setting, str(MEGABYTES * 2**20))
    assert once(release.all_effects(keys, SECONDS_UNTIL_ALL_IS_WELL))
    assert alarm not in alarms()


def test_tasks_outlive_a_kill_of_rabbitmq(release: Release, desk: Desk) -> None:
    (killed, _) = process(release)
    long = [*desk.send("long", 1, 30), *desk.send("long-io", 3, 30, "webhooks")]
    until_all_run(release, long)
    with desk.flow("celery", "webhooks") as keys:
        release.kubectl("delete", "pod", "shop-rabbitmq-0", "--grace-period=0", "--force")
        wait_for("there is another pod", lambda: release.pods("rabbitmq"))
        release.wait("pod/shop-rabbitmq-0", "condition=Ready", SECONDS_UNTIL_ALL_IS_WELL)
    assert process(release)[0] != killed
    ledger = release.all_effects([*long, *keys], SECONDS_UNTIL_ALL_IS_WELL)
    assert once(ledger)


def test_renewed_leaves_are_shown_without_a_restart(release: Release, desk: Desk) -> None:
    before = process(release)
    with desk.flow("celery", "webhooks") as keys:
        release.renew_leaves("rabbitmq")
        new = release.leaf("rabbitmq")
        wait_for("RabbitMQ shows it", lambda: is_shown(release, new), SECONDS_UNTIL_ALL_IS_WELL)
    assert once(release.all_effects(keys, SECONDS_UNTIL_ALL_IS_WELL))
    assert process(release) == before


def is_shown(release: Release, leaf: str) -> bool:
    show = "import ssl; print(ssl.get_server_certificate(('shop-rabbitmq', 5671)))"
    return release.execute("deployment/shop-web", "python", "-c", show, container="web").strip() == leaf.strip()


@pytest.mark.long
def test_a_burst_brings_more_workers_and_a_lull_takes_them_away(release: Release, desk: Desk) -> None:
    burst = desk.send("burst", 3 * MOST, 6)
    wait_for("as many workers as may be", lambda: len(workers(release)) == MOST, SECONDS_UNTIL_ALL_IS_WELL)
    long = desk.send("long", MOST, 40)
    began = until_all_run(release, long)
    # Three that run are work for two.
    wait_for("one is asked to end", lambda: len(workers(release)) < MOST, SECONDS_UNTIL_ALL_IS_WELL)
    assert holders(release, long)
    ledger = release.all_effects([*burst, *long], SECONDS_UNTIL_ALL_IS_WELL)
    assert once(ledger)
    assert ended_where_they_began(ledger, began)
    wait_for("one worker is left", lambda: len(workers(release)) == 1, SECONDS_UNTIL_ALL_IS_WELL)


@pytest.mark.long
def test_certificates_log_in_from_the_next_release_on(release: Release, desk: Desk) -> None:
    with desk.flow("celery", "webhooks") as keys:
        release.upgrade({**VALUES, "broker": {**BROKER, "login": "certificate"}})
    assert once(release.all_effects(keys, SECONDS_UNTIL_ALL_IS_WELL))
    answer = answer_of(release, "rabbitmq", authority_of(release).leaf("worker"))
    assert answer == {"refused": None, "replies": ["EXTERNAL"]}
    connected = {line[0] for line in listed(release, "list_connections", "user")}
    assert connected >= {"worker", "beat"}
    with release.shop() as shop:
        assert watch(shop, shop.place_orders(ORDERS))["shipped"] == ORDERS
