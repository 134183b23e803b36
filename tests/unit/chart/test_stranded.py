"""The chart's hook against messages that nobody would take: kombu's own, in a real Redis, by a worker's rights."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from resources.waiting import wait_for

ROOT = Path(__file__).resolve().parents[3]
FILES = ROOT / "helm" / "stalk" / "files"
PYTHON = ROOT / ".venv-app" / "bin" / "python"
UNCHANGED = "Nothing was changed.\n"
REMEDY = (
    "and no pool would consume it; keep a pool for it until it is empty, or leave what it holds with "
    "helm upgrade --set 'kubernetes.abandon={reports}' or helm rollback --no-hooks\n"
)

# A process that ends so gives nothing back that it took.
SEND = """
import json, os, sys
from kombu import Connection, Exchange, Producer, Queue
options = {"global_keyprefix": "shop:", "priority_steps": [0, 3]}
connection = Connection(sys.argv[1], transport_options=options)
for order in json.loads(sys.argv[2]):
    channel = connection.channel()
    exchange = Exchange(order.get("exchange", order["queue"]), order.get("type", "direct"))
    queue = Queue(order["queue"], exchange, order.get("binding", order["queue"]), channel=channel)
    queue.declare()
    Producer(channel).publish(
        {}, exchange=order.get("to", ""), routing_key=order.get("routing_key", order["queue"]),
        headers={"eta": order.get("eta")}, priority=order.get("priority", 0),
    )
    if order.get("taken"):
        assert queue.get(), order
os._exit(0)
"""
NEXT_YEAR = "2027-01-01T00:00:00+00:00"


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    if not shutil.which("redis-server"):
        pytest.fail("redis-server is missing; tools/prepare tests installs it")
    rights = yaml.safe_load((FILES / "redis" / "rights.yaml").read_text())["components"]["worker"]
    # Redis 7.0 does not know it.
    allowed = " ".join(rights).format(app="shop").replace(" +client|setinfo", "")
    (tmp_path / "users.acl").write_text(f"user default on nopass ~* &* +@all\nuser worker on >secret -@all {allowed}\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    options = {"port": port, "bind": "127.0.0.1", "save": "", "dir": tmp_path, "aclfile": tmp_path / "users.acl"}
    command = ["redis-server", *(word for name, value in options.items() for word in (f"--{name}", str(value)))]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_for("Redis answers", lambda: answers(port), seconds=30)
        yield f"redis://worker:secret@127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(10)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


Send = Callable[..., None]
Upgrade = Callable[..., tuple[int, str]]


@pytest.fixture
def send(address: str) -> Send:
    def send(queue: str, **order: Any) -> None:
        subprocess.run([PYTHON, "-c", SEND, address, json.dumps([{"queue": queue, **order}])], check=True)

    return send


@pytest.fixture
def empty(address: str) -> Callable[[str], None]:
    def empty(queue: str) -> None:
        code = "import redis, sys; redis.Redis.from_url(sys.argv[1]).delete('shop:' + sys.argv[2])"
        subprocess.run([PYTHON, "-c", code, address, queue], check=True)

    return empty


@pytest.fixture
def upgrade(address: str, tmp_path: Path) -> Upgrade:
    """The hook's status and what it says, from a release with the queues celery and reports to one with celery."""
    (tmp_path / "CELERY_BROKER_URL").write_text(address)

    def upgrade(
        deployed: tuple[str, ...] | None = ("celery", "reports"),
        described: tuple[str, ...] = ("celery",),
        abandoned: tuple[str, ...] = (),
        app: str = "shop",
        brokers: tuple[str | None, str] = ("external", "external"),
        topologies: tuple[str, str] = ("single", "single"),
        nodes: tuple[int, int] = (1, 1),
        ports: tuple[int | None, int] = (15671, 15671),
    ) -> tuple[int, str]:
        before, broker = brokers
        variables = {
            "PATH": os.environ["PATH"],
            "BROKER": broker,
            "TOPOLOGY": topologies[1],
            "DEPLOYED_TOPOLOGY": topologies[0],
            "NODES": str(nodes[1]),
            "DEPLOYED_NODES": str(nodes[0]),
            "MANAGEMENT_PORT": str(ports[1]),
            "CELERY_KEY_PREFIX": "shop:",
            "CREDENTIALS_DIRECTORY": str(tmp_path),
            "TLS_FILES": json.dumps({"redis": {}, "external": {}}),
        }
        if deployed is not None:
            variables |= {"DEPLOYED_APP": app, "DEPLOYED_QUEUES": json.dumps(deployed)}
        if ports[0]:
            variables["DEPLOYED_MANAGEMENT_PORT"] = str(ports[0])
        if before:
            variables["DEPLOYED_BROKER"] = before
        script = (FILES / "queues" / "stranded.py").read_text()
        done = subprocess.run(
            [PYTHON, "-c", script, json.dumps(described), json.dumps(abandoned)],
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    return upgrade


def test_messages_that_wait_are_refused_in_the_words_of_the_playbooks(send: Send, upgrade: Upgrade) -> None:
    send("celery")
    assert upgrade() == (0, "")
    send("reports")
    assert upgrade() == (1, f"queue reports: 1 message waits {REMEDY}{UNCHANGED}")
    assert upgrade(described=("celery", "reports")) == (0, "")


def test_another_name_of_the_app_is_refused_whatever_waits(upgrade: Upgrade) -> None:
    assert upgrade(app="books", described=("celery", "reports")) == (
        1,
        "app.name: shop would begin empty, and leave the messages and the data of books to nobody; "
        f"set it back to books, or install shop as another release\n{UNCHANGED}",
    )


def test_messages_of_every_priority_count(send: Send, upgrade: Upgrade) -> None:
    send("reports", priority=3)
    send("reports")
    assert upgrade() == (1, f"queue reports: 2 messages wait {REMEDY}{UNCHANGED}")


def test_a_queue_that_no_pool_took_before_is_no_reason(send: Send, upgrade: Upgrade) -> None:
    send("misspelt")
    assert upgrade() == (0, "")


def test_an_abandoned_queue_may_go(send: Send, upgrade: Upgrade) -> None:
    send("reports")
    assert upgrade(abandoned=("reports",)) == (0, "")


def test_what_a_worker_holds_for_later_is_refused_and_what_it_runs_is_not(send: Send, upgrade: Upgrade) -> None:
    send("reports", taken=True)
    assert upgrade() == (0, "")
    send("reports", taken=True, eta=NEXT_YEAR)
    assert upgrade() == (1, f"queue reports: a worker holds 1 message for later {REMEDY}{UNCHANGED}")


@pytest.mark.parametrize(
    ("kind", "binding", "routing_key"), [("direct", "by-night", "by-night"), ("topic", "by.*", "by.night")]
)
def test_what_came_by_an_exchange_goes_back_to_its_queue(
    send: Send, upgrade: Upgrade, kind: str, binding: str, routing_key: str
) -> None:
    by = {"exchange": "work", "to": "work", "type": kind, "binding": binding, "routing_key": routing_key}
    send("reports", taken=True, eta=NEXT_YEAR, **by)
    assert upgrade() == (1, f"queue reports: a worker holds 1 message for later {REMEDY}{UNCHANGED}")


def test_what_came_while_the_pool_left_is_refused_until_the_queue_is_empty(
    send: Send, upgrade: Upgrade, empty: Callable[[str], None]
) -> None:
    assert upgrade() == (0, "")
    send("reports")
    gone = ("celery",)
    assert upgrade(gone) == (1, f"queue reports: 1 message waits {REMEDY}{UNCHANGED}")
    assert upgrade(gone, abandoned=("reports",)) == (0, "")
    assert upgrade(gone)[0] == 1
    empty("reports")
    assert upgrade(gone) == (0, "")
    send("reports")
    assert upgrade(gone) == (0, ""), "nobody consumed it since it was seen empty"


def test_a_queue_is_remembered_while_a_task_of_it_runs(send: Send, upgrade: Upgrade) -> None:
    send("reports", taken=True)
    assert upgrade() == (0, "")
    gone = ("celery",)
    assert upgrade(gone) == (0, "")
    send("reports")
    assert upgrade(gone) == (1, f"queue reports: 1 message waits {REMEDY}{UNCHANGED}")


def test_a_pool_that_came_back_is_remembered_no_more(send: Send, upgrade: Upgrade) -> None:
    assert upgrade() == (0, "")
    assert upgrade(("celery",), described=("celery", "reports")) == (0, "")
    send("reports")
    assert upgrade(("celery",)) == (0, "")


def test_a_release_that_left_no_note_of_its_queues_is_upgraded(send: Send, upgrade: Upgrade) -> None:
    send("reports")
    status, said = upgrade(None)
    assert (status, said) == (
        0,
        "Nothing tells which queues had a pool before; whether one loses it was not looked at.\n",
    )


def test_a_broker_that_does_not_answer_is_a_reason_only_when_a_queue_departs(upgrade: Upgrade, tmp_path: Path) -> None:
    (tmp_path / "CELERY_BROKER_URL").unlink()
    untold = "the broker does not tell how many messages wait (the secret CELERY_BROKER_URL: No such file or directory)"
    assert upgrade() == (1, f"queue reports: {untold} {REMEDY}{UNCHANGED}")
    goes_on = (0, f"No queue departs, and {untold}, so the release goes on.\n")
    assert upgrade(described=("celery", "reports")) == goes_on
    assert upgrade(abandoned=("reports",)) == goes_on


def test_a_broker_that_refuses_is_told_in_one_line_without_its_password(upgrade: Upgrade, tmp_path: Path) -> None:
    path = tmp_path / "CELERY_BROKER_URL"
    path.write_text(path.read_text().replace("secret", "another"))
    status, said = upgrade()
    assert status == 1
    assert said.startswith("queue reports: the broker does not tell how many messages wait (")
    assert said.count("\n") == 2
    assert "another" not in said


MOVE: dict[str, Any] = {"described": ("celery", "reports"), "brokers": ("external", "redis")}


def leaves(found: str, *queues: str) -> str:
    return (
        f"broker.kind: redis would begin empty, and leave what external has to nobody ({found}); keep external until "
        "its queues are empty, or leave what they hold with "
        f"helm upgrade --set 'kubernetes.abandon={{{','.join(queues)}}}'\n{UNCHANGED}"
    )


def test_valkey_is_asked_where_redis_is_and_is_another_kind(upgrade: Upgrade, tmp_path: Path) -> None:
    path = tmp_path / "CELERY_BROKER_URL"
    path.write_text("redis://worker:secret@shop-redis:1/0")
    for kind, other in (("valkey", "redis"), ("redis", "valkey")):
        status, said = upgrade(("celery",), brokers=(kind, other))
        assert status == 1
        assert said.startswith(
            f"broker.kind: {other} would begin empty, and leave what {kind} has to nobody (the broker "
        )
        assert "connecting to shop-redis:1" in said
    path.write_text("redis://worker:secret@another:1/0")
    assert "since an upgrade failed, CELERY_BROKER_URL names another" in upgrade(brokers=("valkey", "redis"))[1]


def test_another_topology_is_refused_while_the_one_that_runs_holds_anything(
    send: Send, upgrade: Upgrade, empty: Callable[[str], None]
) -> None:
    change: dict[str, Any] = {"described": ("celery", "reports"), "topologies": ("single", "sentinel")}
    send("celery")
    status, said = upgrade(**change)
    assert status == 1
    assert said.startswith(
        "broker.topology: sentinel would begin empty, and leave what single has to nobody (queue celery: 1 message "
        "waits); keep single until its queues are empty, or leave what they hold with "
    )
    empty("celery")
    assert upgrade(**change) == (0, "")


def test_sentinels_are_asked_for_the_primary(upgrade: Upgrade, tmp_path: Path) -> None:
    urls = [f"sentinel://worker:secret@shop-redis-node-{node}.teas.svc:1/0" for node in range(3)]
    (tmp_path / "CELERY_BROKER_URL").write_text(";".join(urls))
    status, said = upgrade(brokers=("redis", "redis"), topologies=("sentinel", "sentinel"))
    assert status == 1
    assert "the broker does not tell how many messages wait (No master found for 'shop'" in said
    assert "secret" not in said


def test_a_cluster_of_rabbitmq_grows_and_does_not_shrink(upgrade: Upgrade) -> None:
    def to(nodes: int) -> tuple[int, str]:
        both = ("rabbitmq", "rabbitmq")
        return upgrade(("celery",), brokers=both, topologies=("cluster", "cluster"), nodes=(5, nodes))

    assert to(3) == (
        1,
        "broker.kubernetes.replicas: 3 would take nodes out of their queues, which 5 keep; "
        f"set it to 5 or more\n{UNCHANGED}",
    )
    assert (to(5)[0], to(7)[0]) == (0, 0)


def test_the_nodes_of_a_cluster_keep_the_port_by_which_they_meet(upgrade: Upgrade) -> None:
    both, cluster = ("rabbitmq", "rabbitmq"), ("cluster", "cluster")
    assert upgrade(("celery",), brokers=both, topologies=cluster, ports=(15671, 16000)) == (
        1,
        "broker.management_port: with 16000 the nodes of the cluster would lose each other, which meet by 15671; "
        f"set it back to 15671\n{UNCHANGED}",
    )
    assert upgrade(("celery",), brokers=both, ports=(15671, 16000))[0] == 0
    assert upgrade(("celery",), brokers=both, topologies=cluster, ports=(None, 16000))[0] == 0


def test_a_broker_of_another_kind_is_refused_while_the_one_that_runs_holds_anything(
    send: Send, upgrade: Upgrade, empty: Callable[[str], None]
) -> None:
    assert upgrade(**MOVE) == (0, "")
    send("misspelt")
    send("celery")
    send("celery")
    assert upgrade(**MOVE) == (1, leaves("queue celery: 2 messages wait", "celery"))
    send("reports", taken=True)
    both = "queue celery: 2 messages wait, queue reports: a worker holds 1 message"
    assert upgrade(**MOVE) == (1, leaves(both, "celery", "reports"))
    assert upgrade(**MOVE, abandoned=("celery", "reports")) == (0, "")
    empty("celery")
    assert upgrade(**MOVE, abandoned=("reports",)) == (0, "")


def test_what_a_pool_that_left_earlier_did_not_take_counts_too(send: Send, upgrade: Upgrade) -> None:
    assert upgrade() == (0, "")
    send("reports")
    said = leaves("queue reports: 1 message waits", "reports")
    assert upgrade(("celery",), ("celery",), brokers=("external", "redis")) == (1, said)


def test_a_release_that_left_no_note_of_its_broker_keeps_it(send: Send, upgrade: Upgrade) -> None:
    send("celery")
    assert upgrade(described=("celery", "reports"), brokers=(None, "external")) == (0, "")


def test_a_broker_that_does_not_answer_is_not_left_for_another_kind(upgrade: Upgrade, tmp_path: Path) -> None:
    (tmp_path / "CELERY_BROKER_URL").unlink()
    untold = "the broker does not tell how many messages wait (the secret CELERY_BROKER_URL: No such file or directory)"
    assert upgrade(**MOVE) == (1, leaves(untold, "celery", "reports"))
    goes_on = f"Every queue is abandoned, and {untold}, so the release goes on.\n"
    assert upgrade(**MOVE, abandoned=("celery", "reports")) == (0, goes_on)


@pytest.mark.parametrize(
    ("deployed", "host"),
    [
        ("redis", "redis.example.org"),
        ("redis", "shop-redis.example.org"),
        ("external", "shop-redis"),
        ("external", "shop-redis-node-0.shop.svc"),
    ],
)
def test_the_broker_of_an_upgrade_that_failed_is_not_taken_for_the_one_that_runs(
    upgrade: Upgrade, tmp_path: Path, deployed: str, host: str
) -> None:
    (tmp_path / "CELERY_BROKER_URL").write_text(f"rediss://worker:sesame@{host}:6379/0")
    other = {"redis": "external", "external": "redis"}[deployed]
    status, said = upgrade(brokers=(deployed, other))
    assert status == 1
    assert "(since an upgrade failed, CELERY_BROKER_URL names another; helm rollback mends it)" in said
    assert "sesame" not in said
