"""The sweep sends again what was lost, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from celery.exceptions import Ignore, Reject
from django.db import connection, transaction
from django.utils import timezone
from kombu.entity import Queue
from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisConnectionError

from celery_ops import outbox, sweep
from celery_ops.leases import Keeper
from celery_ops.models import OutboxMessage
from celery_ops.sweep import Swept
from tests.brokers import ON_BOTH_BROKERS
from tests.celery_ops.tasks import (
    effect,
)
from tests.gate import Gate
from tests.outbox import LONG_AGO, make_due, row, state_of
from tests.processes import Process
from tests.services import Broker, Services

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_broker", "forgotten_outage")]

NOT_YET = Swept(sent=0, forgotten=0, is_left=True)
EXPIRED = {"leased_until": timezone.now() + LONG_AGO, "suspected_at": timezone.now() + LONG_AGO}


@ON_BOTH_BROKERS
def test_a_message_that_the_broker_lost_is_sent_again(broker: Broker, gate: Gate, worker: Process) -> None:
    worker.stop()
    task_id = effect.delay_on_commit(str(gate.open()))
    broker.lose_messages()
    assert sweep.sweep().sent == 0, "its pause is not over"
    make_due(task_id)
    assert sweep.sweep().sent == 1
    assert sweep.sweep().sent == 0
    assert row(task_id).sends == 1
    assert broker.messages_in() == 1


@ON_BOTH_BROKERS
def test_a_message_that_waits_in_a_long_queue_is_left_alone(broker: Broker, gate: Gate) -> None:
    ids = [effect.delay_on_commit(str(gate.path)) for _ in range(3)]
    for task_id in ids:
        make_due(task_id)
    assert sweep.sweep().sent == 0
    assert broker.messages_in() == 3
    make_due(ids[2], started_at=timezone.now(), leased_until=timezone.now() + timedelta(minutes=1))
    assert sweep.sweep().sent == 2, "a newer one has overtaken them"


def sent_by_the_sweep(task_id: str) -> None:
    make_due(task_id, sent_at=None)
    assert sweep.sweep().sent == 1


def given_back_by_a_stop(task_id: str) -> None:
    outbox.take(task_id, "a run that stops")
    outbox.give_back(outbox.open_row(task_id))


@ON_BOTH_BROKERS
@pytest.mark.parametrize("queue_again", [sent_by_the_sweep, given_back_by_a_stop])
def test_an_old_message_that_is_queued_again_overtakes_nothing(
    broker: Broker, gate: Gate, queue_again: Callable[[str], None]
) -> None:
    oldest, *waiting = [effect.delay_on_commit(str(gate.path)) for _ in range(3)]
    queue_again(oldest)
    make_due(*waiting)
    outbox.take(oldest, "run")
    assert sweep.sweep().sent == 0


@ON_BOTH_BROKERS
def test_a_broker_that_forgot_everything_gets_everything_again(broker: Broker, gate: Gate) -> None:
    with transaction.atomic():
        for _ in range(250):
            effect.delay_on_commit(str(gate.path))
    broker.lose_messages()
    OutboxMessage.objects.update(next_send_at=timezone.now() + LONG_AGO)
    assert sweep.sweep().sent == 250
    assert broker.messages_in() == 250


def test_two_sweeps_at_once_send_each_message_once(broker: Broker, gate: Gate) -> None:
    with transaction.atomic():
        for _ in range(150):
            effect.delay_on_commit(str(gate.path))
    broker.lose_messages()
    OutboxMessage.objects.update(next_send_at=timezone.now() + LONG_AGO, sent_at=None)

    def sweep_in_thread() -> None:
        sweep.sweep()
        connection.close()

    sweeps = [threading.Thread(target=sweep_in_thread) for _ in range(2)]
    for thread in sweeps:
        thread.start()
    for thread in sweeps:
        thread.join()
    sweep.sweep()
    assert broker.messages_in() == 150


@ON_BOTH_BROKERS
def test_an_expired_message_is_not_sent_again(broker: Broker, gate: Gate) -> None:
    task_id = effect.apply_async_on_commit((str(gate.path),), expires=60)
    broker.lose_messages()
    options = row(task_id).options | {"expires": (timezone.now() + LONG_AGO).isoformat()}
    make_due(task_id, options=options)
    assert sweep.sweep().sent == 0
    assert state_of(task_id) == "EXPIRED"


def test_successes_are_forgotten_after_a_day_and_what_may_be_run_again_after_a_month(gate: Gate) -> None:
    ended = {
        (state, days): effect.delay_on_commit(str(gate.path))
        for state in ("SUCCESS", "FAILURE", "REVOKED")
        for days in (0, 3, 31)
    }
    waiting = effect.delay_on_commit(str(gate.path))
    for (state, days), task_id in ended.items():
        acknowledged_at = timezone.now() - timedelta(days=days)
        OutboxMessage.objects.filter(pk=task_id).update(acknowledged_at=acknowledged_at, state=state)
    assert sweep.sweep().forgotten == 4
    kept = {ended[key] for key in (("SUCCESS", 0), ("FAILURE", 0), ("FAILURE", 3), ("REVOKED", 0), ("REVOKED", 3))}
    assert set(OutboxMessage.objects.values_list("pk", flat=True)) == kept | {waiting}


def test_a_run_that_could_not_renew_its_lease_for_long_keeps_it(gate: Gate) -> None:
    """As after an outage of the database: all leases are over, and their runs go on."""
    task_id = effect.delay_on_commit(str(gate.path))
    outbox.take(task_id, "run")
    make_due(task_id, leased_until=timezone.now() + LONG_AGO)
    assert sweep.sweep() == NOT_YET
    assert sweep.sweep() == NOT_YET
    make_due(task_id)
    assert sweep.sweep().sent == 0
    Keeper()._renew(["run"])
    make_due(task_id, leased_until=timezone.now() + LONG_AGO)
    assert sweep.sweep() == NOT_YET, "it was renewed meanwhile"
    make_due(task_id, **EXPIRED)
    assert sweep.sweep() == Swept(sent=1, forgotten=0, is_left=False)


def test_a_copy_waits_for_the_run_that_could_not_renew_its_lease(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "PAUSE_SECONDS", 0)
    task_id = effect.delay_on_commit(str(gate.path))
    outbox.take(task_id, "run")
    make_due(task_id, leased_until=timezone.now() + LONG_AGO)
    for _ in range(2):
        with pytest.raises(Reject) as rejection:
            outbox.take(task_id, "copy")
        assert rejection.value.requeue
    Keeper()._renew(["run"])
    with pytest.raises(Ignore):
        outbox.take(task_id, "copy")
    make_due(task_id, **EXPIRED)
    outbox.take(task_id, "copy")
    assert row(task_id).holder == "copy"


def test_a_sweep_looks_at_no_message_that_waits(broker: Broker, gate: Gate, django_assert_max_num_queries: Any) -> None:
    with transaction.atomic():
        ids = [effect.delay_on_commit(str(gate.path)) for _ in range(150)]
    OutboxMessage.objects.update(next_send_at=timezone.now() + LONG_AGO)
    make_due(ids[-1], sent_at=None)
    with django_assert_max_num_queries(20):
        assert sweep.sweep() == Swept(sent=1, forgotten=0, is_left=False)
    assert broker.messages_in() == 151


@pytest.mark.parametrize(
    ("error", "is_left"), [(RedisConnectionError("reset"), True), (ValueError("declared otherwise"), False)]
)
def test_a_sweep_that_cannot_ask_for_the_length_of_a_queue_goes_on(
    services: Services, gate: Gate, monkeypatch: pytest.MonkeyPatch, error: Exception, is_left: bool
) -> None:
    waiting = effect.delay_on_commit(str(gate.path))
    ended = effect.delay_on_commit(str(gate.path))
    make_due(waiting)
    make_due(ended, state="SUCCESS", acknowledged_at=timezone.now() - timedelta(days=2))

    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(Queue, "queue_declare", fail)
    assert sweep.sweep() == Swept(sent=0, forgotten=1, is_left=is_left)


def test_a_sweep_ends_after_its_limit(services: Services, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "SWEEP_LIMIT", 4)
    monkeypatch.setattr(sweep, "SWEEP_BATCH", 2)
    too_late = {"expires": (timezone.now() + LONG_AGO).isoformat()}
    for _ in range(6):
        make_due(effect.delay_on_commit(str(gate.path)), sent_at=None, options=too_late)
    sweep.sweep()
    assert OutboxMessage.objects.filter(state="EXPIRED").count() == 4
    sweep.sweep()
    assert OutboxMessage.objects.filter(state="EXPIRED").count() == 6


def test_a_full_broker_makes_no_message_wait_longer(services: Services, gate: Gate) -> None:
    ids = [effect.delay_on_commit(str(gate.path)) for _ in range(2)]
    for task_id in ids:
        make_due(task_id, sent_at=None)
    with services.redis.client() as client:
        client.config_set("maxmemory", "1mb")
        assert sweep.sweep().sent == 0
        client.config_set("maxmemory", "0")
    assert sweep.sweep().sent == 2


def test_a_message_that_the_broker_refuses_does_not_keep_the_others_back(
    services: Services, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused, good = (effect.delay_on_commit(str(gate.path)) for _ in range(2))
    for task_id in (refused, good):
        make_due(task_id, sent_at=None)
    send = outbox.send

    def send_or_refuse(app: Any, message: OutboxMessage) -> None:
        if message.pk == refused:
            raise OperationalError("no permission")
        send(app, message)

    monkeypatch.setattr(outbox, "send", send_or_refuse)
    assert sweep.sweep().sent + sweep.sweep().sent == 1
    assert row(good).sends == 1
    assert row(refused).sent_at is None
