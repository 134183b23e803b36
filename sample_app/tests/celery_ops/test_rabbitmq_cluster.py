"""What a node that dies, or says nothing, costs the app."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from ssl import SSLCertVerificationError
from types import SimpleNamespace

import pytest
from kombu.connection import Connection

from celery_ops import rabbitmq_settings, sweep, tls
from celery_ops.delayed_delivery import DelayedDelivery
from config.celery import app
from tests.brokers import connect_anew, settings_of_environment
from tests.celery_ops.tasks import effect, wait_at_gate
from tests.gate import Gate
from tests.outbox import make_due, row, until_ended
from tests.processes import Process
from tests.rabbitmq import COMMON_NAME
from tests.rabbitmq_cluster import NODES, RabbitMQCluster
from tests.waiting import until

pytestmark = [
    pytest.mark.parametrize("broker", ["rabbitmq_cluster"], indirect=True),
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("empty_broker", "forgotten_outage"),
]


def test_each_node_shows_the_common_name_and_another_is_refused(broker: RabbitMQCluster) -> None:
    for node in broker.nodes:
        good, bad = (rabbitmq_settings.use_ssl(tls.files(), name) for name in (COMMON_NAME, "elsewhere"))
        with Connection(node.url, ssl=good) as connection:  # type: ignore[no-untyped-call]
            connection.connect()
        with Connection(node.url, ssl=bad) as connection, pytest.raises(SSLCertVerificationError):  # type: ignore[no-untyped-call]
            connection.connect()


@pytest.mark.parametrize("silent", range(1, NODES))
def test_who_begins_with_silent_nodes_publishes_by_another(broker: RabbitMQCluster, gate: Gate, silent: int) -> None:
    wait_at_gate.delay(str(gate.path))
    connect_anew(app, settings_of_environment())
    first = [broker.at(url) for url in app.conf.broker_url.split(";")][:silent]
    with ExitStack() as stack:
        for node in first:
            stack.enter_context(node.frozen())
        with app.connection_for_write() as connection:
            assert connection.default_channel
        assert sweep.lengths(app, ["celery"]).keys() == {"celery"}


def test_a_worker_that_begins_with_a_node_that_is_away_asks_another_to_delay(
    broker: RabbitMQCluster, caplog: pytest.LogCaptureFixture
) -> None:
    connect_anew(app, settings_of_environment())
    with broker.at(app.conf.broker_url.split(";")[0]).away():
        DelayedDelivery(SimpleNamespace()).start(SimpleNamespace(app=app))
    assert [record.message for record in caplog.records if record.name.endswith("delayed_delivery")] == []


def are_sent(*task_ids: str) -> bool:
    """A queue takes nothing while its members elect one that leads it."""
    unsent = [task_id for task_id in task_ids if row(task_id).sent_at is None]
    make_due(*unsent)
    return not unsent or sweep.sweep().sent == len(unsent)


def test_a_killed_node_costs_no_task(broker: RabbitMQCluster, gate: Gate, start_worker: Callable[..., Process]) -> None:
    """None is delayed: RabbitMQ 3.10.8 keeps some back after elections (rabbitmq-server#16203)."""
    path = str(gate.path)
    worker = start_worker()
    running = [effect.delay_on_commit(path, f"running {number}") for number in range(2)]
    until(lambda: len(gate.arrivals) == 2)
    waiting = [effect.delay_on_commit(path, f"waiting {number}") for number in range(3)]
    with broker.leader_of("celery").away():
        meanwhile = [effect.delay_on_commit(path, f"meanwhile {number}") for number in range(3)]
        until(partial(are_sent, *meanwhile), seconds=60, every=1, why="other nodes lead the queues")
        second = start_worker("second")
        gate.open()
        until_ended(*running, *waiting, *meanwhile, seconds=150)
    assert sorted(gate.effects) == sorted(
        [f"running {number}" for number in range(2)]
        + [f"{when} {number}" for when in ("waiting", "meanwhile") for number in range(3)]
    )
    assert worker.stop() == second.stop() == 0
