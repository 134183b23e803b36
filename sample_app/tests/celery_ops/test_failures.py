"""Tasks that failed for good are kept, and can be run again."""

from __future__ import annotations

import threading

import pytest
from celery import chord
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection, transaction
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from celery_ops import failures, outbox, sweep
from celery_ops.models import FailedTask, OutboxMessage
from celery_ops.replay import UNHEARD_OF, replay, send_again
from config.celery import app
from tests.brokers import ON_BOTH_BROKERS
from tests.celery_ops.tasks import (
    effect,
    fails_at_closed_gate,
    fails_at_closed_gate_in_outbox,
    kills_its_process,
    rejected_without_outbox,
    show_without_outbox,
    wait_at_gate,
    waits_and_fails,
)
from tests.gate import Gate
from tests.outbox import state_of, until_ended
from tests.processes import Process
from tests.services import Broker, Services
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_broker", "forgotten_outage")]

FAILED, REPLAYED, RECOVERED = FailedTask.Outcome
PAGE = "admin:celery_ops_failedtask_changelist"


def until_kept(task_id: str, outcome: str = FAILED) -> FailedTask:
    rows = FailedTask.objects.filter(pk=task_id, outcome=outcome)
    until(rows.exists, why=f"{task_id} is {outcome}; there are {list(FailedTask.objects.values())}")
    return rows.get()


def until_not_kept(worker: Process, task_id: str) -> None:
    until(lambda: f"[{task_id}] is not kept: " in worker.log)


def client_of(*permissions: str) -> Client:
    user = User.objects.create_user("operator", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client(headers={"X-Forwarded-Proto": "https"})
    client.force_login(user)
    return client


def click(client: Client, *task_ids: str) -> str:
    answer = client.post(reverse(PAGE), {"action": "replay", "_selected_action": task_ids}, follow=True)
    return answer.content.decode()


@ON_BOTH_BROKERS
def test_a_failure_is_kept_and_its_replay_goes_on_to_what_follows(broker: Broker, gate: Gate, worker: Process) -> None:
    failing = fails_at_closed_gate.s(str(gate.path), "plain") | show_without_outbox.s(str(gate.path))
    task_id = failing.apply_async(headers={"customer": "7"}).parent.id
    failed = until_kept(task_id)
    assert failed.task == fails_at_closed_gate.name
    assert failed.args == [str(gate.path), "plain"]
    assert (failed.queue, failed.worker) == ("celery", "worker@localhost")
    assert failed.exception == "NotYet: plain: the gate is closed"
    assert "in fail_until_open" in failed.traceback
    assert failed.options["headers"]["customer"] == "7"
    gate.open()
    assert replay([task_id]) == [task_id]
    until_kept(task_id, RECOVERED)
    until(lambda: gate.effects == ["plain", "plain"], why="the task and the next of its chain took effect")
    assert replay([task_id]) == []


def test_a_replay_of_the_outbox_opens_its_row_again(gate: Gate, worker: Process) -> None:
    task_id = fails_at_closed_gate_in_outbox.delay_on_commit(str(gate.path), "outbox")
    assert "the gate is closed" in until_kept(task_id).exception
    assert replay([task_id]) == [task_id]
    sweep.sweep()
    until(lambda: len(gate.arrivals) == 2)
    until_kept(task_id)
    gate.open()
    assert replay([task_id]) == [task_id]
    sweep.sweep()
    until_kept(task_id, RECOVERED)
    until_ended(task_id)
    assert gate.effects == ["outbox"]


def test_an_outbox_task_without_a_row_is_replayed_by_the_outbox(gate: Gate, worker: Process) -> None:
    task_id = fails_at_closed_gate_in_outbox.delay(str(gate.path), "no row").id
    until_kept(task_id)
    gate.open()
    replay([task_id])
    until_kept(task_id, RECOVERED)
    until_ended(task_id)


def test_time_limit_lost_process_and_rejection_are_kept_by_the_main_process(gate: Gate, worker: Process) -> None:
    limited = wait_at_gate.apply_async((str(gate.path),), time_limit=1, queue="reports")
    killed = kills_its_process.delay()
    rejected = rejected_without_outbox.delay()
    limited_in_outbox = effect.apply_async_on_commit((str(gate.path),), time_limit=1)
    kept = [until_kept(task_id) for task_id in (limited.id, killed.id, rejected.id, limited_in_outbox)]
    errors = ["TimeLimitExceeded", "WorkerLostError", "Reject", "TimeLimitExceeded"]
    assert [each.exception.partition(":")[0] for each in kept] == errors
    assert [each.queue for each in kept] == ["reports", "celery", "celery", "celery"]
    assert {each.worker for each in kept} == {"worker@localhost"}
    # The main process has forked a child since, which works with a connection of its own.
    done = effect.delay_on_commit(str(gate.open()))
    until_ended(done)


def test_of_a_chord_the_member_is_kept_and_replayed_alone(gate: Gate, worker: Process) -> None:
    members = [fails_at_closed_gate.si(str(gate.path), "member"), show_without_outbox.si("other", str(gate.path))]
    body = chord(members)(show_without_outbox.s(str(gate.path)))
    until(lambda: body.state == "FAILURE")
    failed = FailedTask.objects.get()
    assert failed.args == [str(gate.path), "member"]
    gate.open()
    replay([failed.pk])
    until_kept(failed.pk, RECOVERED)
    assert sorted(gate.effects) == ["member", "other"]


def test_a_message_of_a_task_that_the_worker_does_not_know_is_kept(worker: Process) -> None:
    task_id = app.send_task("shop.tasks.of_tomorrow", (1,), {"two": 2}, link=effect.si("/nowhere")).id
    failed = until_kept(task_id)
    assert (failed.task, failed.args, failed.kwargs) == ("shop.tasks.of_tomorrow", [1], {"two": 2})
    assert failed.options["link"][0]["task"] == effect.name
    assert "NotRegistered" in failed.exception
    assert replay([task_id]) == [task_id]
    until(lambda: worker.log.count("Received unregistered task") == 2)
    until_kept(task_id)


def test_of_a_row_of_the_outbox_that_the_worker_does_not_know_nothing_is_kept(worker: Process) -> None:
    message = OutboxMessage.objects.create(id="1", task="shop.tasks.of_tomorrow", queue="celery", **outbox.times_of({}))
    outbox.send(app, message)
    until(lambda: "Received unregistered task" in worker.log)
    after = fails_at_closed_gate.delay("/nowhere/gate", "after").id
    until_kept(after)
    assert [each.pk for each in FailedTask.objects.all()] == [after]


def test_a_message_that_cannot_be_read_does_no_harm(services: Services, gate: Gate, worker: Process) -> None:
    with app.producer_pool.acquire() as producer:
        for headers in ({}, {"task": effect.name, "id": "unreadable"}):
            producer.publish(
                "{[", routing_key="celery", headers=headers, content_type="application/json", content_encoding="utf-8"
            )
    done = effect.delay_on_commit(str(gate.open()))
    until_ended(done)
    assert worker.is_running


def test_without_database_a_failure_is_logged_and_the_worker_goes_on(
    services: Services, gate: Gate, worker: Process
) -> None:
    with services.postgresql.away():
        for text in ("one", "two"):
            until_not_kept(worker, fails_at_closed_gate.delay(str(gate.path), text).id)
        until_not_kept(worker, wait_at_gate.apply_async((str(gate.path),), time_limit=1).id)
    gate.open()
    until_ended(effect.delay_on_commit(str(gate.path)))
    assert not FailedTask.objects.exists()


def test_what_the_database_cannot_take_keeps_no_other_failure_back(gate: Gate, worker: Process) -> None:
    untakable = fails_at_closed_gate.delay(str(gate.path), "\0").id
    until(lambda: f"[{untakable}] is not kept" in worker.log)
    until_kept(fails_at_closed_gate.delay(str(gate.path), "takable").id)
    assert FailedTask.objects.count() == 1


def test_an_eager_run_is_its_callers_matter(gate: Gate) -> None:
    assert fails_at_closed_gate.apply((str(gate.path), "eager")).state == "FAILURE"
    assert not FailedTask.objects.exists()


def test_a_replay_of_what_was_deleted_meanwhile_does_nothing() -> None:
    send_again("gone")
    assert not OutboxMessage.objects.exists()


def test_a_run_that_lost_its_lease_is_no_failure(gate: Gate, worker: Process) -> None:
    task_id = waits_and_fails.delay_on_commit(str(gate.path))
    until(lambda: gate.arrivals)
    OutboxMessage.objects.filter(pk=task_id).update(holder="another")
    gate.open()
    until(lambda: f"{waits_and_fails.name}[{task_id}] raised unexpected" in worker.log)
    assert state_of(task_id) == ""
    assert not FailedTask.objects.exists()


def waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        # Within a transaction PostgreSQL shows what it showed before.
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
        return cursor.fetchone() is not None


def test_two_clicks_at_once_are_one_replay() -> None:
    stored = ["1", "2"]
    for task_id in stored:
        failures.store(task_id, "ValueError: x", task=fails_at_closed_gate.name, args=[], kwargs={}, options={})
    answers: list[list[str]] = []

    def click_too() -> None:
        answers.append(replay(stored))
        connection.close()

    second = threading.Thread(target=click_too)
    with transaction.atomic():
        assert replay(stored) == stored
        second.start()
        until(waits_for_a_lock)
    second.join(30)
    assert answers == [[]]
    assert OutboxMessage.objects.filter(task=send_again.name).count() == 2


def test_a_replay_of_which_nothing_was_heard_for_long_may_be_repeated() -> None:
    failures.store("1", "ValueError: x", task=fails_at_closed_gate.name, args=[], kwargs={}, options={})
    assert replay(["1"]) == ["1"]
    assert replay(["1"]) == []
    FailedTask.objects.update(replayed_at=timezone.now() - 2 * UNHEARD_OF)
    assert replay(["1"]) == ["1"]


def test_a_replay_wants_its_permission_and_is_written_down(gate: Gate) -> None:
    failures.store("1", "ValueError: \0 <b>", task="shop.tasks.some", args=["needle"], kwargs={}, options={})
    failures.store("2", "KeyError: x", "Traceback of a <b>\n", task="shop.tasks.some", args=[], kwargs={}, options={})
    reader = client_of("view_failedtask")
    assert "run again" not in reader.get(reverse(PAGE)).content.decode()
    click(reader, "1", "2")
    assert not OutboxMessage.objects.exists()
    operator = User.objects.get()
    operator.user_permissions.add(Permission.objects.get(codename="replay_failedtask"))
    assert "2 of 2 tasks are sent again" in click(reader, "1", "2")
    assert "0 of 2 tasks are sent again" in click(reader, "1", "2")
    assert {(entry.object_id, entry.user_id) for entry in LogEntry.objects.all()} == {
        ("1", operator.pk),
        ("2", operator.pk),
    }
    assert "Run again under its id, 1" in str(LogEntry.objects.get(object_id="1"))
    found = reader.get(reverse(PAGE), {"q": "needle"}).content.decode()
    assert "1 failed task" in found
    detail = reader.get(reverse("admin:celery_ops_failedtask_change", args=["2"])).content.decode()
    assert "Traceback of a &lt;b&gt;" in detail


def test_the_failures_of_a_month_ago_are_forgotten_unless_they_were_replayed() -> None:
    for task_id in ("old", "replayed", "new"):
        failures.store(task_id, "ValueError: x", task="t", args=[], kwargs={}, options={})
    long_ago = Now() - sweep.KEEP_OTHERS * 2
    FailedTask.objects.filter(pk__in=["old", "replayed"]).update(failed_at=long_ago)
    FailedTask.objects.filter(pk="replayed").update(replayed_at=Now(), outcome=REPLAYED)
    assert sweep.forget_ended() == 1
    assert {each.pk for each in FailedTask.objects.all()} == {"new", "replayed"}
