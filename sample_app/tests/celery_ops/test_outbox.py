"""The outbox with a real broker, database and worker: nothing lost, one effect each."""

from __future__ import annotations

import os
import signal
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from celery.exceptions import Ignore, Reject, TimeLimitExceeded
from django.contrib.auth.models import Group
from django.db import InterfaceError, connection, transaction
from django.utils import timezone
from kombu.entity import Queue
from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisConnectionError

from celery_ops import leases, outbox, sweep
from celery_ops.leases import Keeper
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
    of_a_queue,
    raises_retry,
    raises_value_error,
    rejected,
    typed,
)
from tests.gate import Gate
from tests.outbox import LONG_AGO, make_due, row
from tests.processes import Process
from tests.rabbitmq import RabbitMQ
from tests.services import PREFIX, Broker, Services
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_broker", "forgotten_outage")]

EXPIRED = {"leased_until": timezone.now() + LONG_AGO, "suspected_at": timezone.now() + LONG_AGO}


def state_of(task_id: str) -> str:
    return row(task_id).state


# --- publishing -------------------------------------------------------------------------------------------------


@ON_BOTH_BROKERS
def test_a_rollback_publishes_nothing(broker: Broker, gate: Gate) -> None:
    with transaction.atomic():
        effect.delay_on_commit(str(gate.path))
        transaction.set_rollback(True)
    assert not OutboxMessage.objects.exists()
    assert broker.messages_in() == 0


@ON_BOTH_BROKERS
def test_nothing_is_sent_before_the_commit(broker: Broker, gate: Gate) -> None:
    with transaction.atomic():
        task_id = effect.delay_on_commit(str(gate.path))
        assert broker.messages_in() == 0
    assert broker.messages_in() == 1
    assert row(task_id).queue == "celery"


def test_a_broker_that_is_down_does_not_fail_the_request_and_the_sweep_sends(
    services: Services, broker: Broker, gate: Gate, start_worker: Callable[..., Process]
) -> None:
    with services.redis.away():
        with transaction.atomic():
            ids = [effect.delay_on_commit(str(gate.open()), str(number)) for number in range(20)]
        assert sweep.sweep()["sent"] == 0
    assert sweep.sweep()["sent"] == 20
    assert broker.messages_in() == 20
    start_worker()
    until(lambda: all(state_of(task_id) == "SUCCESS" for task_id in ids))
    assert sorted(gate.effects) == sorted(str(number) for number in range(20))


def test_a_sender_that_listened_to_results_waits_for_a_broker_that_is_down_only_once_in_a_while(
    services: Services, gate: Gate, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    effect.delay_on_commit(str(gate.path))
    with services.redis.away():
        # Upon the first, the broker's connection is found to have ended; upon the second, that for results.
        for _ in range(2):
            monkeypatch.setattr(outbox, "broker_is_away_until", 0.0)
            effect.delay_on_commit(str(gate.path))
        caplog.clear()
        effect.delay_on_commit(str(gate.path))
    assert f"the broker did not answer within the last {outbox.SECONDS_WITHOUT_BROKER} s" in caplog.text


def test_arguments_arrive_with_their_types(gate: Gate, worker: Process) -> None:
    task_id = typed.delay_on_commit(str(gate.path), at=timezone.now(), price=Decimal("1.10"), key=uuid.uuid4())
    until(lambda: state_of(task_id) == "SUCCESS")
    assert gate.effects == ["at=datetime price=Decimal key=UUID"]


@pytest.mark.parametrize(("arguments", "error"), [((object(),), "JSON"), ((), "missing"), ((1, 2, 3), "takes")])
def test_arguments_that_no_run_could_take_are_refused_at_once(arguments: Any, error: str) -> None:
    with pytest.raises(TypeError, match=error):
        effect.delay_on_commit(*arguments)
    assert not OutboxMessage.objects.exists()


@ON_BOTH_BROKERS
def test_a_message_that_cannot_be_sent_does_not_keep_the_others_back(broker: Broker, gate: Gate) -> None:
    bad, good = (effect.delay_on_commit(str(gate.path)) for _ in range(2))
    broker.lose_messages()
    make_due(bad, args=[], sent_at=None)
    make_due(good)
    sweep.sweep()
    assert broker.messages_in() == 1
    assert row(bad).next_send_at > timezone.now()


@ON_BOTH_BROKERS
def test_the_queue_of_a_task_is_known(broker: Broker) -> None:
    task_id = of_a_queue.delay_on_commit()
    assert row(task_id).queue == "reports"
    assert broker.messages_in("reports") == 1
    make_due(task_id)
    assert sweep.sweep()["sent"] == 0, "it waits"


def test_an_atomic_task_has_nothing_that_a_kill_after_its_commit_loses() -> None:
    with pytest.raises(TypeError, match=r"link is lost .* delay_on_commit inside"):
        effect_in_database.apply_async_on_commit(("",), link=rejected.si())
    assert not OutboxMessage.objects.exists()


@pytest.mark.parametrize(
    ("error", "sent_next"),
    [
        (ValueError("not this one"), 1),
        (ConnectionResetError("gone"), 0),
        (OperationalError(), 0),
    ],
)
def test_only_a_broker_that_is_away_makes_the_next_messages_wait(
    broker: Broker, gate: Gate, monkeypatch: pytest.MonkeyPatch, error: Exception, sent_next: int
) -> None:
    def fail(*_: Any) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "send", fail)
        failed = effect.delay_on_commit(str(gate.path))
    assert row(failed).sent_at is None
    effect.delay_on_commit(str(gate.path))
    assert broker.messages_in() == sent_next


@pytest.fixture
def eager_mode() -> Iterator[None]:
    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = app.conf.task_eager_propagates = False


@pytest.mark.parametrize("propagates", [False, True])
@pytest.mark.usefixtures("eager_mode")
def test_eager_mode_leaves_no_row_open(gate: Gate, propagates: bool) -> None:
    app.conf.task_eager_propagates = propagates
    success = effect.delay_on_commit(str(gate.open()), "here")
    assert (state_of(success), gate.effects) == ("SUCCESS", ["here"])
    with pytest.raises(ValueError, match="eager") if propagates else nullcontext():
        raises_value_error.apply_async_on_commit(task_id="fails")
    assert state_of("fails") == "FAILURE"


# --- running ----------------------------------------------------------------------------------------------------


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
    assert sweep.sweep()["sent"] == 1
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


# --- what is lost -----------------------------------------------------------------------------------------------


@ON_BOTH_BROKERS
def test_a_message_that_the_broker_lost_is_sent_again(broker: Broker, gate: Gate, worker: Process) -> None:
    worker.stop()
    task_id = effect.delay_on_commit(str(gate.open()))
    broker.lose_messages()
    assert sweep.sweep()["sent"] == 0, "its pause is not over"
    make_due(task_id)
    assert sweep.sweep()["sent"] == 1
    assert sweep.sweep()["sent"] == 0
    assert row(task_id).sends == 1
    assert broker.messages_in() == 1


@ON_BOTH_BROKERS
def test_a_message_that_waits_in_a_long_queue_is_left_alone(broker: Broker, gate: Gate) -> None:
    ids = [effect.delay_on_commit(str(gate.path)) for _ in range(3)]
    for task_id in ids:
        make_due(task_id)
    assert sweep.sweep()["sent"] == 0
    assert broker.messages_in() == 3
    make_due(ids[2], started_at=timezone.now(), leased_until=timezone.now() + timedelta(minutes=1))
    assert sweep.sweep()["sent"] == 2, "a newer one has overtaken them"


@ON_BOTH_BROKERS
def test_a_broker_that_forgot_everything_gets_everything_again(broker: Broker, gate: Gate) -> None:
    with transaction.atomic():
        for _ in range(250):
            effect.delay_on_commit(str(gate.path))
    broker.lose_messages()
    OutboxMessage.objects.update(next_send_at=timezone.now() + LONG_AGO)
    assert sweep.sweep()["sent"] == 250
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
    assert sweep.sweep()["sent"] == 0
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
    assert sweep.sweep()["forgotten"] == 4
    kept = {ended[key] for key in (("SUCCESS", 0), ("FAILURE", 0), ("FAILURE", 3), ("REVOKED", 0), ("REVOKED", 3))}
    assert set(OutboxMessage.objects.values_list("pk", flat=True)) == kept | {waiting}


def test_a_run_that_could_not_renew_its_lease_for_long_keeps_it(gate: Gate) -> None:
    """As after an outage of the database: all leases are over, and their runs go on."""
    task_id = effect.delay_on_commit(str(gate.path))
    outbox.take(task_id, "run")
    make_due(task_id, leased_until=timezone.now() + LONG_AGO)
    assert sweep.sweep()["sent"] == 0
    make_due(task_id)
    assert sweep.sweep()["sent"] == 0
    Keeper()._renew(["run"])
    make_due(task_id, leased_until=timezone.now() + LONG_AGO)
    assert sweep.sweep()["sent"] == 0, "it was renewed meanwhile"
    make_due(task_id, **EXPIRED)
    assert sweep.sweep()["sent"] == 1


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
        assert sweep.sweep()["sent"] == 1
    assert broker.messages_in() == 151


@pytest.mark.parametrize("error", [RedisConnectionError("reset"), ValueError("declared otherwise")])
def test_a_sweep_that_cannot_ask_for_the_length_of_a_queue_goes_on(
    services: Services, gate: Gate, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    waiting = effect.delay_on_commit(str(gate.path))
    ended = effect.delay_on_commit(str(gate.path))
    make_due(waiting)
    make_due(ended, state="SUCCESS", acknowledged_at=timezone.now() - timedelta(days=2))

    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(Queue, "queue_declare", fail)
    assert sweep.sweep() == {"sent": 0, "forgotten": 1}


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
        assert sweep.sweep()["sent"] == 0
        client.config_set("maxmemory", "0")
    assert sweep.sweep()["sent"] == 2


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
    assert sweep.sweep()["sent"] + sweep.sweep()["sent"] == 1
    assert row(good).sends == 1
    assert row(refused).sent_at is None


# --- what is killed ---------------------------------------------------------------------------------------------


def test_a_killed_host_costs_no_task(gate: Gate, start_worker: Callable[..., Process]) -> None:
    first = start_worker("first")
    task_id = effect.delay_on_commit(str(gate.path))
    until(lambda: gate.arrivals)
    first.kill()
    second = start_worker("second")
    make_due(task_id)
    assert sweep.sweep()["sent"] == 0, "the lease is not over"
    make_due(task_id, **EXPIRED)
    assert sweep.sweep()["sent"] == 1
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
        assert sweep.sweep()["sent"] == 1
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
    with pytest.raises(InterfaceError), outbox.in_main_process():
        raise InterfaceError
    assert connection.connection is None


# --- the leases -------------------------------------------------------------------------------------------------


@pytest.fixture
def keeper(monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    monkeypatch.setattr(leases, "LEASE_SECONDS", 0.1)
    keeper = Keeper()
    yield keeper
    keeper.drop("run")


@pytest.mark.parametrize("error", [InterfaceError("connection already closed"), ValueError("anything")])
def test_no_error_ends_the_renewals(keeper: Keeper, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    renewals: list[list[str]] = []

    def renew(holders: list[str]) -> None:
        renewals.append(holders)
        raise error

    monkeypatch.setattr(keeper, "_renew", renew)
    keeper.hold("run")
    until(lambda: len(renewals) > 2)


def test_a_keeper_whose_thread_could_not_start_tries_again(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError, match="new thread"):
            keeper.hold("run")
    renewed = threading.Event()
    monkeypatch.setattr(keeper, "_renew", lambda _: renewed.set())
    keeper.hold("run")
    assert renewed.wait(10)
