"""One beat of several sends, whatever happens to it: real processes, database and broker."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks
from kombu.exceptions import OperationalError

from celery_ops.beat import Lease, LeasedScheduler
from celery_ops.models import BeatLease, OutboxMessage
from config.celery import app
from tests.brokers import ON_BOTH_BROKERS, ON_RABBITMQ
from tests.celery_ops.tasks import effect, wait_at_gate
from tests.processes import Process
from tests.rabbitmq import FULL_QUEUE, RabbitMQ
from tests.services import PREFIX, Broker, Services
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_broker")]

QUEUE = "periodic"
AN_HOUR = timedelta(hours=1)


def entry(name: str, seconds: int, task: str = wait_at_gate.name, **fields: Any) -> PeriodicTask:
    every, _ = IntervalSchedule.objects.get_or_create(every=seconds, period=IntervalSchedule.SECONDS)
    return PeriodicTask.objects.create(name=name, task=task, args='["x"]', queue=QUEUE, interval=every, **fields)


def is_due(**fields: Any) -> PeriodicTask:
    """An entry that should have been sent long ago, and then not for another hour."""
    return entry("every hour", 3600, last_run_at=timezone.now() - 2 * AN_HOUR, **fields)


def sent(broker: Broker) -> int:
    return broker.messages_in(QUEUE)


def runs() -> int:
    return sum(PeriodicTask.objects.filter(queue=QUEUE).values_list("total_run_count", flat=True))


@pytest.fixture
def start_beats(start_celery: Callable[..., Process]) -> Callable[..., list[Process]]:
    """Starts beats one after the other, so that the first is active."""

    def start(*names: str, ttl: int = 60) -> list[Process]:
        beats = []
        for name in names:
            beat = start_celery(
                name, "beat", "--loglevel=INFO", CELERY_BEAT_HOLDER=name, CELERY_BEAT_LEASE_TTL=str(ttl)
            )
            beats.append(beat)
            beat.until_beating()
        return beats

    return start


def is_active(beat: Process) -> bool:
    return bool(beat.heartbeat.get("active"))


def test_one_is_active_and_the_next_takes_over_when_it_stops(
    broker: Broker, start_beats: Callable[..., list[Process]]
) -> None:
    entry("every second", 1)
    first, second = start_beats("first", "second")
    until(lambda: sent(broker) >= 2)
    assert is_active(first)
    assert not is_active(second)
    assert second.heartbeat["holder"] == "first"
    assert second.heartbeat["hostname"] == "second"
    assert second.heartbeat["lease_expires"] > time.time()
    assert first.stop() == 0
    assert not first.heartbeat_file.exists()
    until(lambda: is_active(second), seconds=20, why="long before the lease of 60 s ends")
    before = sent(broker)
    until(lambda: sent(broker) > before)
    assert second.stop() == 0
    assert BeatLease.objects.get().expires_at is None
    assert sent(broker) == runs()


def test_the_next_takes_over_from_a_killed_one_and_nothing_is_sent_twice(
    broker: Broker, start_beats: Callable[..., list[Process]]
) -> None:
    is_due()
    first, second = start_beats("first", "second", ttl=3)
    until(lambda: sent(broker) == 1)
    first.kill()
    until(lambda: is_active(second))
    entry("every second", 1)
    until(lambda: sent(broker) >= 3)
    assert PeriodicTask.objects.get(name="every hour").total_run_count == 1
    second.stop()
    assert sent(broker) == runs()


def until_it_beats(beat: Process) -> None:
    """From now on: it is not in the middle of the send that was just seen, which a stop there may repeat."""
    until(partial(beat.beats_after, time.time()))


def test_a_frozen_one_sends_nothing_before_it_holds_the_lease_again(
    broker: Broker, start_beats: Callable[..., list[Process]]
) -> None:
    entry("every second", 1)
    first, second = start_beats("first", "second", ttl=3)
    until(lambda: sent(broker) >= 2)
    first.signal(signal.SIGSTOP)
    until(lambda: is_active(second))
    first.signal(signal.SIGCONT)
    until_it_beats(first)
    assert not is_active(first)
    before = sent(broker)
    until(lambda: sent(broker) >= before + 2)
    until_it_beats(second)
    second.stop()
    until(lambda: is_active(first))
    before = sent(broker)
    until(lambda: sent(broker) > before)
    until_it_beats(first)
    first.stop()
    assert sent(broker) == runs()


def test_a_standby_leaves_the_schedule_alone(start_beats: Callable[..., list[Process]]) -> None:
    start_beats("first")
    until(lambda: PeriodicTask.objects.filter(name="clean-up-every-night").exists())
    until(lambda: PeriodicTask.objects.filter(name="celery.backend_cleanup").exists())
    before = PeriodicTasks.last_change()
    start_beats("second")
    assert PeriodicTasks.last_change() == before


def test_an_outage_of_database_and_broker_is_outlived(
    services: Services, broker: Broker, start_beats: Callable[..., list[Process]]
) -> None:
    (beat,) = start_beats("only", ttl=3)
    until(lambda: is_active(beat))
    with services.redis.away():
        is_due()
        until(lambda: "every hour is not sent" in beat.log)
        noticed_at = time.time()
        until(partial(beat.beats_after, noticed_at), why="it beats without a broker")
    until(lambda: sent(broker) == 1)
    with services.postgresql.away():
        beat.until_beating(lambda content: not content["active"])
    until(lambda: is_active(beat))
    assert sent(broker) == runs() == 1


def test_the_active_one_sweeps_the_outbox_with_no_worker_and_behind_any_backlog(
    services: Services, broker: Broker, start_beats: Callable[..., list[Process]]
) -> None:
    backlog = wait_at_gate.apply_async(("x",))
    task_id = effect.apply_async_on_commit(("x",), queue=QUEUE)
    with services.redis.client() as client:
        client.delete(f"{PREFIX}{QUEUE}")
    OutboxMessage.objects.filter(pk=task_id).update(next_send_at=timezone.now() - AN_HOUR)
    start_beats("only")
    until(lambda: sent(broker) == 1)
    with services.redis.client() as client:
        (first,) = client.lrange(f"{PREFIX}celery", 0, -1)
    assert backlog.id in first


# --- the claim --------------------------------------------------------------------------------------------------


class Scheduler(LeasedScheduler):
    """Lets a test do something at the moment between the claim and the send."""

    between: Callable[[], None] | None = None

    def write_down(self, entry: Any) -> bool:
        written = super().write_down(entry)
        if self.between:
            self.between()
        return written


@pytest.fixture
def scheduler(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scheduler]:
    monkeypatch.setenv("CELERY_BEAT_HOLDER", "tested")
    scheduler = Scheduler(app)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield scheduler
    scheduler.close()
    for number, handler in handlers.items():
        signal.signal(number, handler)


def tick_until_idle(scheduler: Scheduler) -> None:
    for _ in range(20):
        if scheduler.tick() > 0:
            return
    raise AssertionError("it never comes to rest")


def test_a_run_that_another_has_written_down_is_not_sent(broker: Broker, scheduler: Scheduler) -> None:
    tick_until_idle(scheduler)
    task = is_due()
    scheduler.schedule  # noqa: B018
    entry_of_old = scheduler.Entry(task, app=app)
    PeriodicTask.objects.filter(pk=task.pk).update(total_run_count=1, last_run_at=timezone.now())
    scheduler.apply_entry(scheduler.reserve(entry_of_old) and entry_of_old)
    assert sent(broker) == 0


def test_a_beat_that_lost_its_lease_before_the_claim_sends_nothing(broker: Broker, scheduler: Scheduler) -> None:
    tick_until_idle(scheduler)
    task = is_due()
    BeatLease.objects.update(process="another", holder="another", expires_at=timezone.now() + AN_HOUR)
    stale = scheduler.Entry(task, app=app)
    scheduler.apply_entry(scheduler.reserve(stale) and stale)
    assert sent(broker) == 0
    assert runs() == 0
    assert not scheduler.is_active


def test_a_signal_while_the_sweeper_starts_lets_the_lease_go(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    tick_until_idle(scheduler)

    def handle_signal() -> None:
        scheduler.close()
        raise SystemExit

    monkeypatch.setattr(scheduler.sweeper, "start", handle_signal)
    with pytest.raises(SystemExit):
        scheduler.tick()
    scheduler.close()
    assert BeatLease.objects.get().expires_at is None


@pytest.mark.parametrize("is_ticking", [False, True])
def test_a_second_signal_does_not_interrupt_the_stop(scheduler: Scheduler, is_ticking: bool) -> None:
    tick_until_idle(scheduler)
    heard: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: heard.append(number))
    scheduler.is_ticking = is_ticking
    scheduler.close()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.raise_signal(number)
    assert not heard
    scheduler.is_ticking = False
    scheduler.close()
    assert BeatLease.objects.get().expires_at is None


@ON_BOTH_BROKERS
def test_a_run_whose_lease_ended_between_claim_and_send_is_given_back(broker: Broker, scheduler: Scheduler) -> None:
    is_due()
    scheduler.between = scheduler.lease.lose
    scheduler.tick()
    assert sent(broker) == 0
    assert runs() == 0
    scheduler.between = None
    tick_until_idle(scheduler)
    assert sent(broker) == 1
    assert runs() == 1


@ON_BOTH_BROKERS
def test_an_outbox_task_is_published_with_its_claim(broker: Broker, scheduler: Scheduler) -> None:
    is_due(task=effect.name)
    tick_until_idle(scheduler)
    assert sent(broker) == 1
    assert OutboxMessage.objects.get().queue == QUEUE
    assert runs() == 1


@pytest.mark.parametrize("task", [effect.name, wait_at_gate.name], ids=["OutboxTask", "plain task"])
@pytest.mark.parametrize(
    "mistake",
    [
        {"args": "[]"},
        {"args": "5"},
        {"args": '["x"]', "kwargs": '{"unknown": 1}'},
        {"args": '["\\u0000"]', "queue": ""},
        {"headers": "[]"},
    ],
    ids=lambda mistake: " ".join(mistake.values()),
)
def test_a_mistake_in_an_entry_costs_its_run_and_no_other(
    broker: Broker, scheduler: Scheduler, task: str, mistake: dict[str, str]
) -> None:
    bad = is_due(task=task)
    PeriodicTask.objects.filter(pk=bad.pk).update(name="bad", **mistake)
    PeriodicTask.objects.filter(pk=bad.pk).update(last_run_at=timezone.now() - 2 * AN_HOUR)
    good = is_due()
    tick_until_idle(scheduler)
    good.refresh_from_db()
    assert good.total_run_count == 1
    assert sent(broker) >= 1
    assert scheduler.could_send


@pytest.mark.parametrize("trouble", ["away", "full"])
def test_a_run_that_the_broker_does_not_take_is_sent_later(
    services: Services, broker: Broker, scheduler: Scheduler, trouble: str
) -> None:
    tick_until_idle(scheduler)
    is_due()
    with services.redis.away() if trouble == "away" else full(services):
        tick_until_idle(scheduler)
        assert runs() == 0
    tick_until_idle(scheduler)
    assert sent(broker) == runs() == 1


@ON_RABBITMQ
def test_a_run_that_a_full_queue_does_not_take_is_sent_later_and_keeps_no_other_back(
    broker: RabbitMQ, scheduler: Scheduler
) -> None:
    tick_until_idle(scheduler)
    while True:
        try:
            wait_at_gate.apply_async(("x",), queue=FULL_QUEUE)
        except OperationalError:
            break
    task = is_due()
    PeriodicTask.objects.filter(pk=task.pk).update(queue=FULL_QUEUE)
    entry("another", 3600, last_run_at=timezone.now() - 2 * AN_HOUR)
    tick_until_idle(scheduler)
    assert sent(broker) == runs() == 1
    task.refresh_from_db()
    assert task.total_run_count == 0
    broker.lose_messages(FULL_QUEUE)
    until(lambda: scheduler.tick() and broker.messages_in(FULL_QUEUE))
    task.refresh_from_db()
    assert broker.messages_in(FULL_QUEUE) == task.total_run_count == 1


@contextmanager
def full(services: Services) -> Iterator[None]:
    with services.redis.client() as client:
        client.config_set("maxmemory", 1)
        yield
        client.config_set("maxmemory", 0)


@pytest.mark.parametrize("moment", ["before the commit", "after the commit", "in the send"])
def test_a_stop_between_claim_and_send_loses_no_run(
    broker: Broker, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise SystemExit

    tick_until_idle(scheduler)
    is_due()
    with monkeypatch.context() as patch:
        if moment == "before the commit":
            scheduler.between = stop
        elif moment == "after the commit":
            scheduler.between = partial(transaction.on_commit, stop)
        else:
            patch.setattr(wait_at_gate, "apply_async", stop)
        with pytest.raises(SystemExit):
            tick_until_idle(scheduler)
    scheduler.close()
    assert sent(broker) == runs() == 0
    successor = Scheduler(app)
    tick_until_idle(successor)
    successor.close()
    assert sent(broker) == runs() == 1


def test_a_stop_while_an_outbox_task_is_published_stores_no_second_message(
    services: Services, scheduler: Scheduler
) -> None:
    def stop() -> None:
        raise SystemExit

    tick_until_idle(scheduler)
    is_due(task=effect.name)
    scheduler.between = partial(transaction.on_commit, stop)
    with pytest.raises(SystemExit):
        tick_until_idle(scheduler)
    scheduler.close()
    successor = Scheduler(app)
    tick_until_idle(successor)
    successor.close()
    assert OutboxMessage.objects.count() == runs() == 1


def test_a_stop_whose_exception_is_dropped_ends_the_next_tick(scheduler: Scheduler) -> None:
    tick_until_idle(scheduler)
    is_due()
    scheduler.between = scheduler.close
    with pytest.raises(SystemExit):
        tick_until_idle(scheduler)


def test_a_claim_of_another_is_not_given_back(scheduler: Scheduler) -> None:
    tick_until_idle(scheduler)
    stale = scheduler.Entry(is_due(), app=app)
    scheduler.reserve(stale)
    PeriodicTask.objects.filter(queue=QUEUE).update(total_run_count=1, last_run_at=timezone.now())
    scheduler.give_back(stale)
    assert runs() == 1


def test_an_entry_with_a_start_fires_then_and_not_an_interval_later(broker: Broker, scheduler: Scheduler) -> None:
    entry("later", 3600, start_time=timezone.now() + timedelta(seconds=2))
    tick_until_idle(scheduler)
    assert sent(broker) == 0
    until(lambda: scheduler.tick() >= 0 and sent(broker) == 1, seconds=10)


def test_an_entry_counts_from_the_moment_that_it_is_enabled(broker: Broker, scheduler: Scheduler) -> None:
    disabled = entry("disabled", 3600, enabled=False)
    PeriodicTask.objects.filter(pk=disabled.pk).update(date_changed=timezone.now() - 2 * AN_HOUR)
    tick_until_idle(scheduler)
    disabled.refresh_from_db()
    disabled.enabled = True
    disabled.save()
    tick_until_idle(scheduler)
    assert sent(broker) == 0


def test_an_entry_that_never_ran_keeps_its_place_over_restarts(broker: Broker, scheduler: Scheduler) -> None:
    task = entry("new", 3600)
    PeriodicTask.objects.filter(pk=task.pk).update(date_changed=timezone.now() - 2 * AN_HOUR)
    tick_until_idle(scheduler)
    assert sent(broker) == 1


# --- the lease --------------------------------------------------------------------------------------------------


def test_the_local_clock_gives_the_lease_up_before_the_database_does() -> None:
    now = [100.0]
    lease = Lease("here", 10, clock=lambda: now[0])
    assert not lease.is_valid
    assert lease.take()
    assert lease.is_valid
    other = Lease("there", 10)
    assert not other.take()
    assert other.current_holder == "here"
    now[0] += 8
    assert not lease.is_valid
    assert not other.take(), "the database's clock has not got there yet"
    BeatLease.objects.update(expires_at=timezone.now() - AN_HOUR)
    assert other.take()
    assert not lease.take()


def test_a_released_lease_is_free_at_once() -> None:
    lease, other = Lease("here", 60), Lease("there", 60)
    assert lease.take()
    lease.release()
    assert other.take()
    lease.release()
    assert BeatLease.objects.get().holder == "there"
