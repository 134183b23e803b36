"""Tasks are published by the outbox, with the transaction that wants them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from decimal import Decimal
from typing import Any

import pytest
from celery import group
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from celery_ops import outbox, sweep
from celery_ops.models import OutboxMessage
from celery_ops.sweep import Swept
from config.celery import app
from tests.brokers import ON_BOTH_BROKERS
from tests.celery_ops.tasks import (
    effect,
    effect_in_database,
    of_a_queue,
    raises_value_error,
    rejected,
    show_without_outbox,
    typed,
)
from tests.gate import Gate
from tests.outbox import make_due, row, state_of
from tests.processes import Process
from tests.services import Broker, Services
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_broker", "forgotten_outage")]


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
        assert sweep.sweep() == Swept(sent=0, forgotten=0, is_left=True)
    assert sweep.sweep() == Swept(sent=20, forgotten=0, is_left=False)
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
    assert sweep.sweep().sent == 0, "it waits"


@pytest.mark.parametrize(
    "options",
    [
        {"link": show_without_outbox.s("")},
        {"link": [group(rejected.si(), show_without_outbox.s(""))]},
        {"chain": [rejected.si(), show_without_outbox.s("")]},
        {"chord": rejected.si()},
    ],
)
def test_an_atomic_task_has_nothing_that_a_kill_after_its_commit_loses(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"is lost by a kill after the commit of an atomic task"):
        effect_in_database.apply_async_on_commit(("",), **options)
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
