"""What follows a task of the outbox is not lost, and is published once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from celery import chain, chord, group
from celery.app.task import Context
from django.db import IntegrityError, transaction
from django_celery_results.models import ChordCounter, TaskResult

from celery_ops import sweep
from celery_ops.followers import canvas_on_commit
from celery_ops.models import OutboxMessage
from celery_ops.result_database import Backend
from config.celery import app
from tests.brokers import ON_BOTH_BROKERS, ON_RABBITMQ
from tests.celery_ops.tasks import (
    effect,
    effect_in_database,
    plus,
    show,
    show_without_outbox,
    wait_at_gate,
)
from tests.conftest import worker_arguments
from tests.gate import Gate
from tests.outbox import make_due, row, state_of
from tests.processes import Process
from tests.rabbitmq import RabbitMQ
from tests.services import Broker, Redis, Services
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_broker", "forgotten_outage")]


def silent(broker: Redis | RabbitMQ) -> AbstractContextManager[None]:
    """A killed RabbitMQ 3.10 may take no delayed message for minutes afterwards, which later tests send."""
    return broker.frozen() if isinstance(broker, RabbitMQ) else broker.away()


def has_effects(gate: Gate, effects: list[str]) -> bool:
    return sorted(gate.effects) == effects


def follower_of(task_id: str) -> OutboxMessage:
    return OutboxMessage.objects.exclude(pk=task_id).get()


@ON_BOTH_BROKERS
@pytest.mark.parametrize(("task", "how"), [(effect, "link"), (effect_in_database, "chain")])
def test_a_follower_waits_for_a_broker_that_is_away(
    broker: Redis | RabbitMQ, gate: Gate, worker: Process, task: Any, how: str
) -> None:
    follower = show.si("follower", str(gate.path))
    task_id = task.apply_async_on_commit((str(gate.path),), **{how: [follower]})
    until(lambda: gate.arrivals)
    with silent(broker):
        gate.open()
        until(lambda: state_of(task_id) == "SUCCESS")
        assert "follower" not in gate.effects
    make_due(follower_of(task_id).pk)
    sweep.sweep()
    until(lambda: state_of(follower_of(task_id).pk) == "SUCCESS")
    assert gate.effects.count("follower") == 1


def test_a_run_is_repeated_for_a_follower_that_the_broker_does_not_take(
    services: Services, gate: Gate, worker: Process
) -> None:
    """It is not in the outbox."""
    follower = show_without_outbox.s(str(gate.path))
    task_id = effect.apply_async_on_commit((str(gate.path), "first"), link=follower)
    until(lambda: gate.arrivals)
    with services.redis.away():
        gate.open()
        until(lambda: f"Task {task_id} goes back to its queue, for what follows it" in worker.log)
    make_due(task_id, leased_until=None)
    sweep.sweep()
    until(lambda: state_of(task_id) == "SUCCESS")
    until(lambda: gate.effects == ["first", "first", "first"])


def test_a_follower_of_a_repeated_run_is_published_once(gate: Gate, worker: Process) -> None:
    """The row of a chord's member is closed after that, so a kill in between repeats the run."""
    body = show.si("body", str(gate.path))
    follower = show.si("follower", str(gate.open()))
    task_id = effect.apply_async_on_commit((str(gate.path), "member"), link=follower, chord=body, group_id="group")
    until(lambda: "follower" in gate.effects and state_of(task_id))
    OutboxMessage.objects.filter(pk=task_id).update(acknowledged_at=None, state="")
    make_due(task_id, started_at=None, leased_until=None)
    sweep.sweep()
    until(lambda: gate.effects.count("member") == 2 and state_of(task_id))
    assert state_of(task_id) == "SUCCESS"
    assert gate.effects.count("follower") == 1


@ON_BOTH_BROKERS
def test_canvases_are_published_with_the_transaction(broker: Broker, tmp_path: Path, worker: Process) -> None:
    step = str(tmp_path / "step")
    canvases = {
        "chain": (plus.s(1, 2) | plus.s(3) | show.s(f"{step}-chain"), ["6"]),
        "group": (plus.s(1, 2) | group([show.s(f"{step}-group")] * 2), ["3", "3"]),
        "chord": (chord([plus.s(1, 1), plus.s(2, 2)], show.s(f"{step}-chord")), ["[2, 4]"]),
        "nested": (group(show.si("one", f"{step}-nested"), plus.s(1, 1) | show.s(f"{step}-nested")), ["2", "one"]),
        "link": (plus.s(1, 2).set(link=plus.s(1) | plus.s(2) | show.s(f"{step}-link")), ["6"]),
    }
    with transaction.atomic():
        for canvas, _ in canvases.values():
            canvas_on_commit(canvas)
        assert broker.messages_in() == 0
    for name, (_, effects) in canvases.items():
        until(partial(has_effects, Gate(Path(f"{step}-{name}")), effects), why=name)
    until(lambda: not OutboxMessage.objects.filter(acknowledged_at=None).exists())


@ON_RABBITMQ
@pytest.mark.parametrize("results", ["", "django-db"])
def test_the_body_of_a_chord_waits_for_a_broker_that_is_away(
    broker: RabbitMQ,
    gate: Gate,
    start_celery: Callable[..., Process],
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    results: str,
) -> None:
    store = results or environment["CELERY_RESULT_BACKEND"]
    worker = start_celery("worker", *worker_arguments(), CELERY_RESULT_BACKEND=store)
    worker.until_consuming()
    if results:
        # Whoever publishes a chord writes its counter.
        monkeypatch.setattr(app, "_backend_cache", Backend(app, url=results))
    body = show.s(str(gate.path)).set(task_id="body")
    canvas_on_commit(chord([plus.s(1, 2), effect.s(str(gate.path), "member")], body))
    until(lambda: gate.arrivals)
    with silent(broker):
        gate.open()
        until(OutboxMessage.objects.filter(pk="body").exists)
    make_due("body")
    sweep.sweep()
    until(lambda: state_of("body") == "SUCCESS")
    assert gate.effects == ["member", "[3, 'member']"]


def test_the_body_of_a_chord_waits_for_no_database(services: Services, gate: Gate, worker: Process) -> None:
    chord([wait_at_gate.si(str(gate.path))] * 2, show.si("body", str(gate.path))).apply_async()
    until(lambda: len(gate.arrivals) == 2)
    with services.postgresql.away():
        gate.open()
        until(lambda: gate.effects == ["body"])


def test_only_the_run_that_holds_the_lease_is_counted_for_a_chord() -> None:
    store = Backend(app, url="django-db")
    counter = ChordCounter.objects.create(group_id="group", sub_tasks="[]", count=2)
    plus.apply_async_on_commit((1, 2), task_id="member")
    OutboxMessage.objects.update(holder="this run")
    for holder, count in (("a run that lost it", 2), ("this run", 1), ("this run", 1)):
        request = Context(id="member", group="group", outbox_holder=holder)
        store.on_chord_part_return(request, "SUCCESS", 3)
        assert TaskResult.objects.filter(task_id="member", status="SUCCESS").exists() == (count == 1)
        counter.refresh_from_db()
        assert (holder, counter.count) == (holder, count)
    assert state_of("member") == "SUCCESS"


def test_a_canvas_that_begins_without_the_outbox_is_refused(broker: Broker) -> None:
    begun = [
        chain(show_without_outbox.s(1, ""), plus.s(1, 2)),
        chord([plus.s(1, 2), show_without_outbox.s(1, "")], plus.s(1)),
    ]
    for canvas in begun:
        with transaction.atomic(), pytest.raises(TypeError, match="would be sent before the transaction is committed"):
            canvas_on_commit(canvas)
    with pytest.raises(TypeError, match="chord is lost by a kill"):
        canvas_on_commit(chord([effect_in_database.s(""), plus.s(1, 2)], plus.s(1)))
    assert not OutboxMessage.objects.exists()
    assert broker.messages_in() == 0


def test_what_follows_an_atomic_task_without_the_outbox_is_left_to_celery(gate: Gate, worker: Process) -> None:
    """Also a member of a chord whose row the end of its run would close before the chord counts it."""
    path = str(gate.open())
    canvas_on_commit(plus.s(1, 2) | effect_in_database.si(path) | show_without_outbox.si("after an atomic one", path))
    members = chord([effect_in_database.si(path), plus.si(1, 2)], show.si("body", path))
    canvas_on_commit(plus.s(1, 2) | members)
    until(lambda: sorted(gate.effects) == ["after an atomic one", "body"])


def test_a_chord_that_follows_waits_for_a_broker_that_is_away(services: Services, gate: Gate, worker: Process) -> None:
    """The store that counts it is the same Redis."""
    members = chord([plus.si(1, 1), plus.si(2, 2)], show.s(str(gate.path)))
    canvas_on_commit(chain(effect.si(str(gate.path), "first"), members))
    until(lambda: gate.arrivals)
    (first,) = OutboxMessage.objects.all()
    with services.redis.away():
        gate.open()
        until(lambda: f"Task {first.pk} goes back to its queue, for what follows it" in worker.log)
    make_due(first.pk, leased_until=None)
    sweep.sweep()
    until(lambda: "[2, 4]" in gate.effects)


def test_two_canvases_with_one_id_are_an_error() -> None:
    canvas_on_commit(plus.s(1, 2).set(task_id="one"))
    with pytest.raises(IntegrityError):
        canvas_on_commit(plus.s(3, 4).set(task_id="one"))


def test_a_canvas_whose_transaction_fails_is_not_published(broker: Broker, gate: Gate) -> None:
    with transaction.atomic():
        canvas_on_commit(chain(plus.s(1, 2), show.s(str(gate.path))))
        transaction.set_rollback(True)
    assert not OutboxMessage.objects.exists()
    assert broker.messages_in() == 0


def test_the_result_of_a_canvas_is_that_of_its_end(gate: Gate, worker: Process) -> None:
    result = canvas_on_commit(chain(plus.s(1, 2), plus.s(3)))
    assert result.get(timeout=30) == 6
    assert result.parent is not None
    first, last = row(result.parent.id), row(result.id)
    assert (first.state, last.state) == ("SUCCESS", "SUCCESS")
    assert [child.id for child in result.parent.children] == [result.id]
