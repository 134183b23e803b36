"""What holds on RabbitMQ alone."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from functools import partial
from ssl import SSLCertVerificationError, SSLError
from typing import Any

import pytest
from amqp.exceptions import NotFound, PreconditionFailed
from django.utils import timezone
from kombu.connection import Connection
from kombu.exceptions import OperationalError
from kombu.transport.native_delayed_delivery import CELERY_DELAYED_DELIVERY_EXCHANGE

from celery_ops import rabbitmq_settings, rabbitmq_transport, sweep, tls
from config.celery import app
from tests.brokers import ON_RABBITMQ, app_on
from tests.celery_ops.tasks import effect, wait_at_gate
from tests.gate import Gate
from tests.outbox import LONG_AGO, make_due, row, until_ended
from tests.processes import Process
from tests.rabbitmq import FULL_QUEUE, RabbitMQ
from tests.waiting import until

pytestmark = [
    ON_RABBITMQ,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("empty_broker", "forgotten_outage"),
]

# --- the connection ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "host", "error"),
    [
        (tls.Files._fields, "elsewhere", SSLCertVerificationError),
        (("ca",), "localhost", (SSLError, OSError)),
    ],
    ids=["another host's certificate", "without a certificate"],
)
def test_a_connection_is_refused(broker: RabbitMQ, files: tuple[str, ...], host: str, error: Any) -> None:
    shown = tls.files()._replace(**dict.fromkeys(set(tls.Files._fields) - set(files), ""))
    ssl = rabbitmq_settings.use_ssl(shown, host)
    with Connection(broker.url, ssl=ssl) as connection, pytest.raises(error):  # type: ignore[no-untyped-call]
        connection.connect()


def test_a_certificate_can_be_the_login(broker: RabbitMQ, gate: Gate) -> None:
    with app_on(broker.url_without_password):
        wait_at_gate.delay(str(gate.path))
    assert broker.messages_in() == 1


def test_readers_of_a_connection_without_heartbeats_wait_for_none(broker: RabbitMQ) -> None:
    assert app.connection_for_read(heartbeat=app.conf.broker_heartbeat).supports_heartbeats
    assert not app.connection_for_write(heartbeat=0).supports_heartbeats


# --- publishing -------------------------------------------------------------------------------------------------


def test_each_queue_is_a_quorum_queue(broker: RabbitMQ, gate: Gate) -> None:
    for queue in ("celery", "reports"):
        wait_at_gate.apply_async((str(gate.path),), queue=queue)
        with broker.client() as client, pytest.raises(PreconditionFailed, match="x-queue-type"):
            client.default_channel.queue_declare(queue, durable=True, auto_delete=False)
        assert broker.messages_in(queue) == 1


def test_a_full_queue_keeps_its_rows_open_and_no_other_queue_back(broker: RabbitMQ, gate: Gate) -> None:
    path = str(gate.path)
    ids = [effect.apply_async_on_commit((path,), queue=FULL_QUEUE) for _ in range(4)]
    refused = [task_id for task_id in ids if row(task_id).sent_at is None]
    assert broker.messages_in(FULL_QUEUE) == len(ids) - len(refused) > 0
    assert refused
    with pytest.raises(OperationalError, match="is the queue full"):
        effect.apply_async((path,), queue=FULL_QUEUE)
    other = effect.delay_on_commit(path)
    make_due(*refused)
    make_due(other, sent_at=None)
    assert sweep.sweep().sent == 1
    assert row(other).sends == 1
    assert {row(task_id).sent_at for task_id in refused} == {None}
    broker.lose_messages(FULL_QUEUE)
    make_due(*refused)
    assert sweep.sweep().sent >= 1


def test_a_message_for_a_queue_that_has_gone_makes_it_anew(broker: RabbitMQ, gate: Gate) -> None:
    for _ in range(2):
        broker.lose("gone")
        task_id = effect.apply_async_on_commit((str(gate.path),), queue="gone")
    assert broker.messages_in("gone") == 1
    assert row(task_id).sent_at


def test_a_message_that_no_queue_takes_is_an_error(broker: RabbitMQ, gate: Gate) -> None:
    wait_at_gate.delay(str(gate.path))
    with pytest.raises(OperationalError, match="no queue takes it"):
        wait_at_gate.apply_async((str(gate.path),), exchange="celery", routing_key="nobody")
    wait_at_gate.delay(str(gate.path))
    assert broker.messages_in() == 2


def test_a_broker_that_says_nothing_keeps_no_request(
    broker: RabbitMQ, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    effect.delay_on_commit(str(gate.path))
    with broker.frozen(), monkeypatch.context() as while_frozen:
        while_frozen.setattr(rabbitmq_transport, "CONFIRM_SECONDS", 0.5)
        task_id = effect.delay_on_commit(str(gate.path))
    assert row(task_id).sent_at is None
    assert sweep.sweep().sent == 1
    assert broker.messages_in() >= 2


def test_the_sweep_counts_a_queue_that_is_not_there_and_makes_none(broker: RabbitMQ, gate: Gate) -> None:
    wait_at_gate.delay(str(gate.path))
    assert sweep.lengths(app, ["nowhere", "celery"]) == {"nowhere": 0, "celery": 1}
    with broker.client() as client, pytest.raises(NotFound):
        client.default_channel.queue_declare("nowhere", passive=True)


# --- tasks for later --------------------------------------------------------------------------------------------


def test_a_task_for_later_occupies_no_worker_and_outlives_it(gate: Gate, start_worker: Callable[..., Process]) -> None:
    path = str(gate.open())
    first = start_worker("first", concurrency=1)
    soon = [effect.apply_async_on_commit((path, "soon"), countdown=countdown) for countdown in (0.5, 1)]
    until_ended(*soon)
    later = [effect.apply_async_on_commit((path, "later"), countdown=15) for _ in range(3)]
    until_ended(effect.apply_async_on_commit((path, "meanwhile")))
    until(partial(first.beats_after, time.time()))
    assert first.heartbeat["reserved"] == 0
    first.kill()
    start_worker("second", concurrency=1)
    until_ended(*later)
    assert gate.effects == ["soon"] * 2 + ["meanwhile"] + ["later"] * 3


def test_a_queue_that_a_worker_takes_up_is_a_quorum_queue_and_gets_what_was_delayed(
    broker: RabbitMQ, gate: Gate, start_worker: Callable[..., Process]
) -> None:
    worker = start_worker(queues="reports")
    assert "Failed to" not in worker.log
    app.control.add_consumer("taken_up", destination=["worker@localhost"], reply=True)
    until(lambda: "Started consuming from taken_up" in worker.log)
    task_id = effect.apply_async_on_commit((str(gate.open()),), queue="taken_up", countdown=1)
    until_ended(task_id)


def test_what_is_delayed_goes_to_its_queue_alone_without_a_worker_there(
    broker: RabbitMQ, gate: Gate, worker: Process
) -> None:
    queues = ("high", "eu.high")
    for queue in queues:
        wait_at_gate.apply_async((str(gate.path),), queue=queue, countdown=1)
        until(partial(broker.messages_in, queue))
    assert [broker.messages_in(queue) for queue in queues] == [1, 1]


def test_a_task_can_be_delayed_before_a_worker_has_ever_started(broker: RabbitMQ, gate: Gate) -> None:
    with broker.client() as client:
        client.default_channel.exchange_delete(CELERY_DELAYED_DELIVERY_EXCHANGE)
    with app_on(broker.url):
        wait_at_gate.apply_async((str(gate.path),), countdown=1)
        until(broker.messages_in)


# --- heartbeats -------------------------------------------------------------------------------------------------


def until_the_silent_are_closed(broker: RabbitMQ, heartbeat: int) -> None:
    """The connections of those who have sent no heartbeat since."""
    with Connection(broker.url, ssl=rabbitmq_settings.use_ssl(tls.files(), "localhost"), heartbeat=heartbeat) as silent:  # type: ignore[no-untyped-call]
        silent.connect()

        def is_closed() -> bool:
            try:
                silent.drain_events(timeout=0.1)
            except TimeoutError:
                return False
            except OSError:
                return True
            return False

        until(is_closed)


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_a_long_task_is_given_to_no_other(
    broker: RabbitMQ, gate: Gate, start_worker: Callable[..., Process], pool: str
) -> None:
    heartbeat = 4
    worker = start_worker(pool=pool, concurrency=1, arguments=("--", f"broker.heartbeat={heartbeat}"))
    wait_at_gate.delay(str(gate.path))
    until(lambda: gate.arrivals)
    worker.signal(signal.SIGTERM)
    until_the_silent_are_closed(broker, heartbeat)
    assert broker.messages_in() == 0
    gate.open()
    assert worker.stop() == 0
    assert broker.messages_in() == 0


# --- what is killed ---------------------------------------------------------------------------------------------


def test_what_a_killed_worker_held_goes_to_another_at_once(gate: Gate, start_worker: Callable[..., Process]) -> None:
    first = start_worker("first")
    wait_at_gate.delay(str(gate.path))
    outboxed = effect.delay_on_commit(str(gate.path))
    until(lambda: len(gate.arrivals) == 2)
    first.kill()
    second = start_worker("second")
    until(lambda: len(gate.arrivals) == 3, why="the plain task starts again")
    until(lambda: f"A copy of task {outboxed} is dropped" in second.log, why="its lease is not over")
    gate.open()
    make_due(outboxed, leased_until=timezone.now() + LONG_AGO, suspected_at=timezone.now() + LONG_AGO)
    assert sweep.sweep().sent == 1
    until_ended(outboxed)
    assert gate.effects == [""]


def test_a_killed_broker_costs_no_task(broker: RabbitMQ, gate: Gate, worker: Process) -> None:
    path = str(gate.path)
    running = [effect.delay_on_commit(path, f"running {number}") for number in range(2)]
    until(lambda: len(gate.arrivals) == 2)
    waiting = [effect.delay_on_commit(path, f"waiting {number}") for number in range(3)]
    later = effect.apply_async_on_commit((path, "later"), countdown=5)
    with broker.away():
        worker.until_beating(lambda beat: not beat["consuming"])
        until(partial(worker.beats_after, worker.heartbeat["time"]))
        meanwhile = effect.delay_on_commit(path, "meanwhile")
    worker.until_consuming()
    assert sweep.sweep().sent == 1
    gate.open()
    # On a busy machine a lease may be over meanwhile, which its copy waits for.
    until_ended(*running, *waiting, later, meanwhile, seconds=150)
    assert sorted(gate.effects) == sorted(
        ["running 0", "running 1", "waiting 0", "waiting 1", "waiting 2", "later", "meanwhile"]
    )
