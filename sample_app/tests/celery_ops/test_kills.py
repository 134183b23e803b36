"""Killed hosts, workers and processes, and a database that is away, cost no task."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from celery.exceptions import Reject, TimeLimitExceeded
from django.db import InterfaceError, connection, transaction
from django.utils import timezone

from celery_ops import outbox, sweep
from celery_ops.database import short_connection
from celery_ops.models import OutboxMessage
from config.celery import app
from tests.brokers import ON_BOTH_BROKERS
from tests.celery_ops.tasks import (
    effect,
)
from tests.gate import Gate
from tests.outbox import LONG_AGO, make_due, row, state_of
from tests.processes import Process
from tests.services import PREFIX, Services
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_broker", "forgotten_outage")]

EXPIRED = {"leased_until": timezone.now() + LONG_AGO, "suspected_at": timezone.now() + LONG_AGO}


def test_a_killed_host_costs_no_task(gate: Gate, start_worker: Callable[..., Process]) -> None:
    first = start_worker("first")
    task_id = effect.delay_on_commit(str(gate.path))
    until(lambda: gate.arrivals)
    first.kill()
    second = start_worker("second")
    make_due(task_id)
    assert sweep.sweep().sent == 0, "the lease is not over"
    make_due(task_id, **EXPIRED)
    assert sweep.sweep().sent == 1
    gate.open()
    until(lambda: state_of(task_id) == "SUCCESS")
    assert len(gate.arrivals) == 2
    assert gate.effects == [""]
    assert second.is_running


def child_of(worker: Process) -> int:
    """The child process whose turn it is, in a pool of one."""
    children = [
        int(line.split()[0]) for line in os.popen(f"ps --no-headers -o pid --ppid {worker.pid}").read().splitlines()
    ]
    assert len(children) == 1, children
    return children[0]


@ON_BOTH_BROKERS
def test_a_killed_child_process_costs_no_task(gate: Gate, start_worker: Callable[..., Process]) -> None:
    worker = start_worker(concurrency=1)
    task_id = effect.delay_on_commit(str(gate.path))
    until(lambda: gate.arrivals)
    os.kill(child_of(worker), signal.SIGKILL)
    until(lambda: len(gate.arrivals) == 2, why="the retry starts")
    gate.open()
    until(lambda: state_of(task_id) == "SUCCESS")
    assert gate.effects == [""]
    assert gate.arrivals == ["0", "1"]


def test_a_task_that_kills_each_process_is_given_up(gate: Gate, worker: Process) -> None:
    task_id = effect.delay_on_commit(str(gate.path))
    until(lambda: gate.arrivals)
    make_due(task_id, runs=outbox.RUNS_WITHOUT_OUTCOME, **EXPIRED)
    outbox.send(app, row(task_id))
    until(lambda: state_of(task_id) == "FAILURE")
    until(lambda: "ended without an outcome" in worker.log)


@pytest.mark.parametrize("pool", ["prefork", "gevent"])
def test_a_cold_stop_hands_the_task_to_another_worker(
    services: Services, gate: Gate, start_worker: Callable[..., Process], pool: str
) -> None:
    first = start_worker("first", pool=pool)
    task_id = effect.delay_on_commit(str(gate.path))
    until(lambda: gate.arrivals)
    first.signal(signal.SIGTERM)
    until(lambda: "Warm shutdown" in first.log)
    first.signal(signal.SIGQUIT)
    first.process.wait(30)
    assert row(task_id).leased_until is None
    if pool == "gevent":
        # Celery acknowledges the message of a greenlet that it killed (celery/concurrency/gevent.py, killable_target).
        with services.redis.client() as client:
            assert not client.exists(f"{PREFIX}celery", f"{PREFIX}unacked")
        make_due(task_id)
        assert sweep.sweep().sent == 1
    start_worker("second", pool=pool)
    gate.open()
    until(lambda: state_of(task_id) == "SUCCESS")
    assert gate.effects == [""]


def test_a_lease_is_renewed_while_its_run_works(gate: Gate, worker: Process) -> None:
    task_id = effect.delay_on_commit(str(gate.path))
    until(lambda: gate.arrivals)
    first = row(task_id).leased_until
    assert first
    until(lambda: (row(task_id).leased_until or first) > first, seconds=30)
    gate.open()
    until(lambda: state_of(task_id) == "SUCCESS")


def test_a_task_waits_in_its_queue_while_the_database_is_away(services: Services, gate: Gate, worker: Process) -> None:
    task_id = effect.delay_on_commit(str(gate.open()))
    until(lambda: state_of(task_id) == "SUCCESS")
    with transaction.atomic():
        OutboxMessage.objects.filter(pk=task_id).update(acknowledged_at=None, state="", leased_until=None)
    message = row(task_id)
    with services.postgresql.away():
        outbox.send(app, message)
        until(lambda: "goes back to its queue" in worker.log)
    until(lambda: state_of(task_id) == "SUCCESS")
    assert gate.effects == ["", ""]


def test_a_run_that_meets_its_time_limit_while_it_waits_for_the_database_did_not_fail(
    services: Services, gate: Gate, start_worker: Callable[..., Process]
) -> None:
    worker = start_worker(arguments=("--time-limit=4",))
    with services.postgresql.away():
        outbox.send(app, OutboxMessage(id=(task_id := str(uuid.uuid4())), task=effect.name, args=[str(gate.open())]))
        until(lambda: "goes back to its queue" in worker.log)
    written = OutboxMessage(
        id=task_id, task=effect.name, args=[str(gate.path)], queue="celery", next_send_at=timezone.now()
    )
    written.save(force_insert=True)
    until(lambda: "Hard time limit" in worker.log)
    make_due(task_id)
    sweep.sweep()
    until(lambda: state_of(task_id))
    assert state_of(task_id) == "SUCCESS"
    assert gate.effects == [""]


@pytest.mark.parametrize(("seconds_left", "end"), [(60, "FAILURE"), (None, "")])
def test_a_time_limit_ends_no_row_that_its_run_did_not_take(seconds_left: int | None, end: str) -> None:
    """The one before, in the same process, asked for a retry."""
    leased_until = timezone.now() + timedelta(seconds=seconds_left) if seconds_left else None
    message = OutboxMessage(id=str(uuid.uuid4()), task=effect.name, queue="celery", next_send_at=timezone.now())
    message.holder, message.leased_until = "worker@localhost/7/before", leased_until
    message.save(force_insert=True)
    effect.push_request(id=message.id, outbox_runner="worker@localhost/7/")
    try:
        outbox.close_failed(effect, message.id, exception=TimeLimitExceeded(1))
    finally:
        effect.pop_request()
    assert state_of(message.id) == end


def test_a_connection_that_broke_is_as_good_as_a_database_that_is_away(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = effect.delay_on_commit(str(gate.path))
    monkeypatch.setattr(outbox, "PAUSE_SECONDS", 0)

    def fail(*_: Any) -> None:
        raise InterfaceError("connection already closed")

    monkeypatch.setattr(outbox, "open_row", fail)
    with pytest.raises(Reject, match="connection already closed"):
        outbox.take(task_id, "run")


def test_the_main_process_keeps_no_connection_whatever_happens() -> None:
    assert not OutboxMessage.objects.exists()
    with pytest.raises(InterfaceError), short_connection():
        raise InterfaceError
    assert connection.connection is None
