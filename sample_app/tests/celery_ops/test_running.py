"""What becomes of a row when its task runs, fails, is revoked or is copied."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone
from django_celery_results.models import TaskResult

from celery_ops import outbox, sweep
from celery_ops.models import OutboxMessage
from config.celery import app
from tests.brokers import ON_BOTH_BROKERS
from tests.celery_ops.tasks import (
    always_retry,
    calls_itself,
    effect,
    effect_in_database,
    goes_on_after_retry,
    goes_on_after_retry_in_database,
    loses_its_connection,
    raises_retry,
    rejected,
    tries_until_the_database_is_back,
    typed,
)
from tests.conftest import worker_arguments
from tests.gate import Gate
from tests.outbox import LONG_AGO, make_due, row, state_of
from tests.processes import Process
from tests.rabbitmq import RabbitMQ
from tests.services import Broker, Services
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_broker", "forgotten_outage")]

EXPIRED = {"leased_until": timezone.now() + LONG_AGO, "suspected_at": timezone.now() + LONG_AGO}


@ON_BOTH_BROKERS
def test_states_of_ends(broker: Broker, gate: Gate, worker: Process) -> None:
    success = effect.delay_on_commit(str(gate.open()))
    until(lambda: state_of(success) == "SUCCESS")
    retried = always_retry.delay_on_commit(str(gate.path))
    refused = rejected.delay_on_commit()
    expired = effect.apply_async_on_commit((str(gate.path),), expires=timezone.now() - timedelta(seconds=1))
    until(lambda: state_of(retried) == "FAILURE")
    assert gate.effects == ["", "0", "1", "2"]
    assert row(retried).retries == 2
    until(lambda: state_of(refused) == "REJECTED")
    if isinstance(broker, RabbitMQ):
        # It lets no worker see what has expired.
        make_due(expired)
        sweep.sweep()
    until(lambda: state_of(expired) in ("REVOKED", "EXPIRED"))
    gate.close()
    limited = effect.apply_async_on_commit((str(gate.path),), time_limit=1)
    until(lambda: state_of(limited) == "FAILURE")
    revoked = effect.apply_async_on_commit((str(gate.path),), countdown=3)
    app.control.revoke(revoked, destination=["worker@localhost"])
    until(lambda: state_of(revoked) == "REVOKED")
    assert worker.is_running
    assert not OutboxMessage.objects.filter(acknowledged_at=None).exists()


@pytest.mark.parametrize("how", ["returns", "swallows", "raises another"])
def test_a_retry_that_is_not_raised_is_a_retry(gate: Gate, worker: Process, how: str) -> None:
    task_id = goes_on_after_retry.delay_on_commit(str(gate.path), how)
    until(lambda: state_of(task_id) == "SUCCESS")
    assert gate.effects == ["0", "1"]


def test_a_retry_that_is_not_raised_undoes_an_atomic_run(worker: Process) -> None:
    task_id = goes_on_after_retry_in_database.delay_on_commit()
    until(lambda: state_of(task_id) == "SUCCESS")
    assert [group.name for group in Group.objects.all()] == [f"{task_id} 1"]


def test_a_retry_that_sends_nothing_is_a_failure_with_a_remedy(worker: Process) -> None:
    task_id = raises_retry.delay_on_commit()
    until(lambda: state_of(task_id) == "FAILURE")
    until(lambda: "raised Retry itself; call self.retry()" in worker.log)


def test_a_task_that_calls_itself_is_one_run(gate: Gate, worker: Process) -> None:
    task_id = calls_itself.delay_on_commit(str(gate.path), 2)
    until(lambda: state_of(task_id) == "SUCCESS")
    assert gate.effects == ["2", "1", "0"]


def test_a_run_whose_commit_fails_is_done_again(gate: Gate, worker: Process) -> None:
    task_id = loses_its_connection.delay_on_commit(str(gate.path))
    until(lambda: state_of(task_id) == "SUCCESS")
    assert Group.objects.count() == 1
    assert gate.effects == ["", ""]


def run_as_the_database_goes_away(services: Services, gate: Gate, worker: Process, sign: str) -> str:
    """The id of a task that asks for a retry then, and ends well; `sign` is what the worker says of it meanwhile."""
    task_id: str = tries_until_the_database_is_back.delay_on_commit(str(gate.path))
    until(lambda: gate.arrivals)
    with services.postgresql.away():
        gate.open()
        until(lambda: sign.format(task_id) in worker.log)
    make_due(task_id, **EXPIRED)
    sweep.sweep()
    until(lambda: state_of(task_id))
    assert state_of(task_id) == "SUCCESS"
    return task_id


def test_a_run_that_asks_for_a_retry_as_the_database_goes_away_gets_it(
    services: Services, gate: Gate, worker: Process
) -> None:
    """The end of its transaction, which connects anew, fails too."""
    run_as_the_database_goes_away(services, gate, worker, "Task {} keeps its lease")
    assert Group.objects.count() == 2


def test_a_retry_whose_state_cannot_be_stored_fails_no_task(
    services: Services, gate: Gate, start_celery: Callable[..., Process]
) -> None:
    """Results are in the database that is away."""
    worker = start_celery("worker", *worker_arguments(), CELERY_RESULT_BACKEND="django-db")
    worker.until_consuming()
    task_id = run_as_the_database_goes_away(services, gate, worker, "The state RETRY of task {} is not stored")
    assert TaskResult.objects.get(task_id=task_id).status == "SUCCESS"


def test_a_run_during_which_the_database_restarts_is_not_repeated(
    services: Services, gate: Gate, worker: Process
) -> None:
    """Its connection broke while it had no use for it."""
    task_id = effect.delay_on_commit(str(gate.path))
    until(lambda: gate.arrivals)
    with services.postgresql.away():
        pass
    gate.open()
    until(lambda: state_of(task_id) == "SUCCESS", seconds=5)
    assert gate.effects == [""]


def test_a_success_needs_no_result_store(services: Services, gate: Gate, worker: Process) -> None:
    task_id = effect.delay_on_commit(str(gate.path))
    until(lambda: gate.arrivals)
    with services.redis.away():
        gate.open()
        until(lambda: state_of(task_id) == "SUCCESS", seconds=5)


def test_a_result_that_cannot_be_stored_fails_no_task(services: Services, gate: Gate, worker: Process) -> None:
    task_id = effect.delay_on_commit(str(gate.path))
    until(lambda: gate.arrivals)
    with services.redis.away():
        gate.open()
        until(lambda: f"The state SUCCESS of task {task_id} is not stored" in worker.log)


def test_callbacks_are_sent_before_the_row_is_closed(gate: Gate, worker: Process) -> None:
    callback = effect.si(str(gate.open()), "callback")
    task_id = effect.apply_async_on_commit((str(gate.path), "first"), link=callback)
    until(lambda: gate.effects == ["first", "callback"])
    until(lambda: state_of(task_id) == "SUCCESS")


def test_a_revoked_copy_does_not_end_the_run_that_works(gate: Gate, worker: Process) -> None:
    task_id = effect_in_database.delay_on_commit(str(gate.path))
    until(lambda: gate.arrivals)
    app.control.revoke(task_id, destination=["worker@localhost"], reply=True)
    outbox.send(app, row(task_id))
    until(lambda: f"Discarding revoked task: tests.celery_ops.tasks.effect_in_database[{task_id}]" in worker.log)
    next_one = typed.delay_on_commit(str(gate.path))
    until(lambda: state_of(next_one) == "SUCCESS", why="the main process is through with the copy")
    gate.open()
    until(lambda: state_of(task_id) == "SUCCESS")
    assert Group.objects.count() == 1


def test_a_revoked_run_is_ended(gate: Gate, worker: Process) -> None:
    task_id = effect.delay_on_commit(str(gate.path))
    until(lambda: gate.arrivals)
    app.control.revoke(task_id, terminate=True, destination=["worker@localhost"])
    until(lambda: state_of(task_id) == "REVOKED")


def test_the_time_limit_of_one_run_does_not_end_another(gate: Gate, start_worker: Callable[..., Process]) -> None:
    worker = start_worker(arguments=("--time-limit=3",))
    task_id = effect.delay_on_commit(str(gate.path))
    until(lambda: gate.arrivals)
    OutboxMessage.objects.filter(pk=task_id).update(
        holder=f"worker@localhost/1{worker.pid}/another", leased_until=timezone.now() + timedelta(minutes=1)
    )
    until(lambda: "Hard time limit" in worker.log)
    other = effect.delay_on_commit(str(gate.open()))
    until(lambda: state_of(other) == "SUCCESS")
    assert state_of(task_id) == ""


@ON_BOTH_BROKERS
def test_copies_take_effect_once(gate: Gate, worker: Process) -> None:
    task_id = effect.delay_on_commit(str(gate.path))
    until(lambda: len(gate.arrivals) == 1)
    outbox.send(app, row(task_id))
    until(lambda: f"A copy of task {task_id} is dropped" in worker.log)
    gate.open()
    until(lambda: state_of(task_id) == "SUCCESS")
    outbox.send(app, row(task_id))
    until(lambda: "it ended before as SUCCESS" in worker.log)
    assert gate.effects == [""]


def test_a_run_that_lost_its_lease_is_rolled_back(gate: Gate, worker: Process) -> None:
    task_id = effect_in_database.delay_on_commit(str(gate.path))
    until(lambda: gate.arrivals)
    OutboxMessage.objects.filter(pk=task_id).update(holder="another", **EXPIRED)
    gate.open()
    until(lambda: "lost its lease" in worker.log)
    assert not Group.objects.exists()
    make_due(task_id)
    assert sweep.sweep().sent == 1
    until(lambda: state_of(task_id) == "SUCCESS")
    assert Group.objects.count() == 1


def test_a_broken_connection_to_the_broker_costs_no_second_effect(
    services: Services, gate: Gate, worker: Process
) -> None:
    task_id = effect.delay_on_commit(str(gate.path))
    until(lambda: gate.arrivals)
    with services.redis.client() as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    until(lambda: "Connection to broker lost" in worker.log)
    worker.until_consuming()
    gate.open()
    until(lambda: state_of(task_id) == "SUCCESS")
    assert gate.effects == [""]
