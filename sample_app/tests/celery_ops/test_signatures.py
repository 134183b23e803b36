"""What is queued is held against the tasks of a release, and nothing of it is taken."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from celery import Celery
from django.utils import timezone

from celery_ops.models import OutboxMessage
from celery_ops.outbox import OutboxTask
from celery_ops.queued import Queued, at_broker, in_outbox, later, open_tasks, unfinished
from celery_ops.signatures import misfit, misfits, parameters, told
from config.celery import app
from tests.brokers import ON_BOTH_BROKERS, ON_RABBITMQ, ON_SENTINEL
from tests.celery_ops.tasks import effect, wait_at_gate
from tests.gate import Gate
from tests.outbox import make_due
from tests.processes import Process
from tests.services import Broker
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("forgotten_outage")]

QUEUES = ["celery", "reports"]


SHIP, WRAP, GONE = "release.ship", "release.wrap", "release.gone"


@pytest.fixture
def release() -> Celery:
    made = Celery("release", set_as_current=False)

    @made.task(name=SHIP, shared=False, bind=True, base=OutboxTask, autoretry_for=(OSError,))
    def ship(self: Any, order: int, text: str = "", *, warehouse: int) -> None: ...

    @made.task(name=WRAP, shared=False, typing=False)
    def wrap(order: int, *more: str) -> None: ...

    return made


@pytest.mark.parametrize(
    ("task", "args", "kwargs", "reason"),
    [
        (SHIP, [1], {"warehouse": 7}, ""),
        (SHIP, [1], {}, "missing a required argument: 'warehouse'"),
        (SHIP, [1], {"warehouse": 7, "colour": 1}, "got an unexpected keyword argument 'colour'"),
        (SHIP, [1, "", "more"], {"warehouse": 7}, "too many positional arguments"),
        (WRAP, [1, "a", "b"], {}, ""),
        (WRAP, [], {}, "missing a required argument: 'order'"),
        (GONE, [1], {}, "it has no such task"),
    ],
)
def test_a_queued_task_fits_the_release_or_tells_why_not(
    release: Celery, task: str, args: list[Any], kwargs: dict[str, Any], reason: str
) -> None:
    # Python 3.13 says "keyword-only" too.
    assert misfit(release, Queued(task, args, kwargs)).replace("keyword-only ", "") == reason


def test_tasks_with_one_reason_are_counted_together(release: Celery) -> None:
    queued = [Queued(GONE, [], {})] * 3 + [Queued(SHIP, [], {"order": 1, "warehouse": 1})]
    assert misfits(release, queued) == [(GONE, "it has no such task", 3)]


@ON_BOTH_BROKERS
@pytest.mark.usefixtures("empty_broker", "broker")
def test_every_open_row_is_queued() -> None:
    first = effect.delay_on_commit("/gate", text="one")
    ended = effect.delay_on_commit("/gate", text="two")
    OutboxMessage.objects.filter(pk=ended).update(acknowledged_at=timezone.now())
    found = in_outbox()
    assert list(found) == [first]
    assert (found[first].task, found[first].args, found[first].kwargs) == (effect.name, ["/gate"], {"text": "one"})
    assert open_tasks() == [(effect.name, 1)]


@pytest.mark.usefixtures("empty_broker")
def test_what_waits_in_redis_is_read_and_stays(broker: Broker) -> None:
    low = wait_at_gate.apply_async(("/gate",), priority=9)
    compressed = wait_at_gate.apply_async(("/gate",), compression="gzip", queue="reports")
    outbox = effect.delay_on_commit("/gate")
    app.send_task("nobody.knows", ("a",), {"b": 1})
    backlog = at_broker(app, QUEUES)
    assert {low.id, compressed.id, outbox} < set(backlog.queued)
    assert backlog.queued[low.id] == backlog.queued[compressed.id] == Queued(wait_at_gate.name, ["/gate"], {})
    assert Queued("nobody.knows", ["a"], {"b": 1}) in backlog.queued.values()
    assert not backlog.passed_over
    assert at_broker(app, QUEUES).queued == backlog.queued


@ON_SENTINEL
@pytest.mark.usefixtures("empty_broker", "broker")
def test_what_waits_behind_sentinel_is_read() -> None:
    sent = wait_at_gate.delay("/gate")
    assert list(at_broker(app, QUEUES).queued) == [sent.id]


@pytest.mark.usefixtures("empty_broker", "broker")
def test_of_a_long_queue_those_that_are_next_are_read_and_the_others_counted() -> None:
    sent = [wait_at_gate.delay("/gate") for _ in range(5)]
    backlog = at_broker(app, QUEUES, most=2)
    assert set(backlog.queued) == {each.id for each in sent[:2]}
    assert backlog.passed_over == {"celery": 3}


def test_what_a_worker_holds_is_read(worker: Process, gate: Gate) -> None:
    running = wait_at_gate.delay(str(gate.path))
    due = wait_at_gate.apply_async((str(gate.path),), countdown=3600)
    until(lambda: {running.id, due.id} == set(at_broker(app, QUEUES).queued), why="the worker holds both")
    (told_of,) = later(at_broker(app, QUEUES).queued.values())
    assert (told_of["task"], told_of["count"]) == (wait_at_gate.name, 1)
    gate.open()


def test_tasks_that_are_due_later_are_told_with_the_last_of_their_times() -> None:
    now = timezone.now()
    last = now + timedelta(days=2)
    times = [now - timedelta(hours=1), now + timedelta(hours=1), last, None]
    (told_of,) = later(Queued(effect.name, [], {}, due) for due in times)
    assert (told_of["count"], told_of["last"]) == (2, last.isoformat(timespec="seconds"))
    assert 0 < told_of["seconds"] <= 2 * 86400


@pytest.mark.usefixtures("empty_broker", "broker")
def test_a_row_and_its_message_are_one_task() -> None:
    app.send_task("nobody.knows")
    sent = effect.delay_on_commit("/gate")
    OutboxMessage.objects.filter(pk=sent).update(task="nobody.knows.either")
    assert told(app, QUEUES) == {
        "misfits": [("nobody.knows", "it has no such task", 1)],
        "passed_over": {},
        "unread_outbox": "",
        "unread_broker": "",
    }


@ON_RABBITMQ
@pytest.mark.usefixtures("empty_broker", "broker")
def test_rabbitmq_is_not_read_and_says_so() -> None:
    sent = effect.delay_on_commit("/gate")
    OutboxMessage.objects.filter(pk=sent).update(task="nobody.knows")
    answer = told(app, QUEUES)
    assert answer["misfits"] == [("nobody.knows", "it has no such task", 1)]
    assert answer["unread_broker"] == "RabbitMQ shows no message without giving it out"


@ON_BOTH_BROKERS
@pytest.mark.usefixtures("empty_broker")
def test_while_beat_stands_what_the_broker_lost_is_sent_again_and_what_is_open_told(
    broker: Broker, gate: Gate, worker: Process
) -> None:
    worker.stop()
    task_id = effect.delay_on_commit(str(gate.path))
    broker.lose_messages()
    make_due(task_id)
    assert unfinished(app, QUEUES) == {"sent": 1, "open": [(effect.name, 1)], "later": []}
    assert unfinished(app, QUEUES)["sent"] == 0
    assert broker.messages_in() == 1


def test_parameters_are_those_of_a_call(release: Celery) -> None:
    found = parameters(release)
    assert found[SHIP] == [
        ("order", "POSITIONAL_OR_KEYWORD", False),
        ("text", "POSITIONAL_OR_KEYWORD", True),
        ("warehouse", "KEYWORD_ONLY", False),
    ]
    assert found[WRAP] == [("order", "POSITIONAL_OR_KEYWORD", False), ("more", "VAR_POSITIONAL", False)]
    assert not any(name.startswith("celery.") for name in found)
