"""An outbox: tasks that are published with the transaction that wants them, and are not lost with the broker.

`delay_on_commit` of an OutboxTask writes a row in the caller's transaction and sends the message after the commit.
The row, not the message, is the truth: it stays open until the task ended. The sweep sends again what the broker
lost. A message of which there are two copies takes effect once, by a lease on the row: a run takes it with one
UPDATE, keeps it while it works, and a copy that finds it taken, or the row acknowledged, is dropped. A run that
dies gives the lease back (a stop) or lets it expire (a kill), and the sweep sends the message again.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from celery import Celery, current_app, signals, states
from celery.contrib.django.task import DjangoTask
from celery.exceptions import Ignore, Reject, Retry
from celery.utils import uuid
from celery.utils.log import get_logger
from celery.utils.time import maybe_iso8601, maybe_make_aware
from celery.worker import state as worker_state
from django.db import DatabaseError, transaction
from django.db.models import F, Max, Q
from django.db.models.functions import Greatest, Now
from django.utils import timezone
from kombu.exceptions import OperationalError
from kombu.utils import json as kombu_json

from celery_ops.database_clock import from_now
from celery_ops.leases import LEASE_SECONDS, keeper
from celery_ops.models import OutboxMessage

HEADER = "celery_ops_outbox"
FIRST_RESEND_SECONDS = 60
RUNS_WITHOUT_OUTCOME = 10
SECONDS_WITHOUT_BROKER = 10
DATABASE_PAUSE_SECONDS = 5
SWEEP_BATCH = 100
SWEEP_LIMIT = 10_000
CLEAN_UP_BATCH = 1000
KEEP = timedelta(days=1)

logger = get_logger(__name__)


class RanTooOften(Exception):
    """The task's process died in each of its runs."""


class OutboxTask(DjangoTask):
    """Base of tasks that must not be lost: `@shared_task(base=OutboxTask)`, published by `delay_on_commit`.

    With `atomic = True` the run and its acknowledgement are one database transaction, so that what the task does
    to the database happens exactly once, even if the process dies between the two. Otherwise write the task so that
    it may run twice.
    """

    abstract = True
    atomic = False
    # A child process that was killed is replaced at once; three minutes, Celery's default, are long for a customer.
    default_retry_delay = 30

    def delay_on_commit(self, *args: Any, **kwargs: Any) -> str:
        """Publishes the task with the caller's transaction; returns its id."""
        return self.apply_async_on_commit(args, kwargs)

    def apply_async_on_commit(self, args: Any = None, kwargs: dict[str, Any] | None = None, **options: Any) -> str:
        """As `delay_on_commit`, with the options of `apply_async` that are data."""
        if self.typing:
            self.__header__(*(args or ()), **(kwargs or {}))
        options = with_absolute_times(options)
        due = moment(options.get("eta"))
        sent_at = Greatest(Now(), due) if due else Now()
        message = OutboxMessage(
            id=str(options.pop("task_id", None) or uuid()),
            task=self.name,
            args=as_json(list(args or ())),
            kwargs=as_json(kwargs or {}),
            options=as_json(options),
            queue=queue_of(self.app, self.name, options),
            sent_at=sent_at,
            next_send_at=sent_at + timedelta(seconds=FIRST_RESEND_SECONDS),
        )
        message.save(force_insert=True)
        transaction.on_commit(lambda: send_or_leave_to_sweep(self.app, message))
        return message.id

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        request = self.request
        if not is_from_outbox(request):
            return super().__call__(*args, **kwargs) if request.called_directly else self.run(*args, **kwargs)
        holder = f"{request.hostname}/{os.getpid()}/{uuid4().hex[:8]}"
        take(request.id, holder)
        request.outbox_holder = holder
        keeper.hold(holder)
        try:
            return self._run_and_acknowledge(holder, args, kwargs) if self.atomic else self.run(*args, **kwargs)
        except Retry as retry:
            self._send_retry(retry)
            raise
        except Ignore:
            acknowledge(request.id, states.IGNORED, holder)
            raise
        except Reject as rejection:
            if rejection.requeue:
                give_back(request.id, holder)
            else:
                acknowledge(request.id, states.REJECTED, holder)
            raise
        except Exception:
            raise
        except BaseException:
            # The worker stops, and its connection gives the message back to the broker.
            with suppress(DatabaseError):
                give_back(request.id, holder)
            raise

    def _run_and_acknowledge(self, holder: str, args: Any, kwargs: Any) -> Any:
        with transaction.atomic():
            outcome = self.run(*args, **kwargs)
            if not acknowledge(self.request.id, states.SUCCESS, holder):
                logger.warning("%s[%s] lost its lease and is rolled back", self.name, self.request.id)
                raise Ignore
        return outcome

    def apply_async(
        self, args: Any = None, kwargs: dict[str, Any] | None = None, task_id: str | None = None, **options: Any
    ) -> Any:
        request = self.request
        if task_id and task_id == request.id and is_from_outbox(request):
            # Task.retry() publishes: held back until the row is free for the retry, which may start at once, and
            # until the transaction that the task may have opened is over.
            request.outbox_retry = args, kwargs, options
            return None
        return super().apply_async(args, kwargs, task_id=task_id, **options)

    def _send_retry(self, retry: Retry) -> None:
        request = self.request
        args, kwargs, options = request.outbox_retry
        options = with_absolute_times(options)
        due = moment(options.get("eta"))
        sent_at = Greatest(Now(), due) if due else Now()
        try:
            held_by(request.id, request.outbox_holder).update(
                args=as_json(list(args or ())),
                kwargs=as_json(kwargs or {}),
                retries=options.get("retries", request.retries + 1),
                runs=0,
                started_at=None,
                leased_until=None,
                sent_at=sent_at,
                next_send_at=sent_at + timedelta(seconds=FIRST_RESEND_SECONDS),
            )
        except DatabaseError as error:
            # Then the message waits for the end of the lease, or is dropped and sent again by the sweep.
            logger.warning("%s[%s] keeps its lease over its retry: %s", self.name, request.id, error)
        try:
            super().apply_async(args, kwargs, task_id=request.id, **options)
        except Exception as error:
            logger.warning("The retry of %s[%s] is left to the sweep: %s", self.name, request.id, error)

    def replace(self, sig: Any) -> Any:
        raise NotImplementedError("the outbox does not follow a replaced task; publish the next by delay_on_commit")


def is_from_outbox(request: Any) -> bool:
    return bool(getattr(request, HEADER, False)) and not request.called_directly and not request.is_eager


# --- what is stored ---------------------------------------------------------------------------------------------


def as_json(value: Any) -> Any:
    """Plain JSON; dates, decimals and ids become kombu's typed objects, as in a message."""
    return json.loads(kombu_json.dumps(value))  # type: ignore[no-untyped-call]


def from_json(value: Any) -> Any:
    return kombu_json.loads(json.dumps(value))  # type: ignore[no-untyped-call]


def moment(value: Any) -> datetime | None:
    if not value:
        return None
    parsed: datetime = maybe_make_aware(maybe_iso8601(value))
    return parsed


def with_absolute_times(options: dict[str, Any]) -> dict[str, Any]:
    """The options with `countdown` and a relative `expires` as moments, for a message that may be sent later."""
    options = dict(options)
    countdown, expires = options.pop("countdown", None), options.get("expires")
    if countdown is not None:
        options["eta"] = timezone.now() + timedelta(seconds=countdown)
    if isinstance(expires, (int, float)):
        options["expires"] = timezone.now() + timedelta(seconds=expires)
    for name in ("eta", "expires"):
        if (when := moment(options.get(name))) is not None:
            options[name] = when.isoformat()
    return options


def queue_of(app: Celery, task: str, options: dict[str, Any]) -> str:
    queue = app.amqp.router.route(dict(options), task).get("queue") or app.conf.task_default_queue
    return str(getattr(queue, "name", queue))


# --- sending ----------------------------------------------------------------------------------------------------

broker_is_away_until = 0.0


def send_or_leave_to_sweep(app: Celery, message: OutboxMessage) -> None:
    """Never raises, and waits for a silent broker only once in a while: the row is committed already."""
    global broker_is_away_until
    try:
        if time.monotonic() < broker_is_away_until:
            raise ConnectionError(f"the broker did not answer within the last {SECONDS_WITHOUT_BROKER} s")
        send(app, message)
    except Exception as error:
        if not isinstance(error, ConnectionError):
            broker_is_away_until = time.monotonic() + SECONDS_WITHOUT_BROKER
        logger.warning("%s is left to the sweep: %s", message, error)
        try:
            OutboxMessage.objects.filter(pk=message.pk, started_at=None).update(sent_at=None, next_send_at=Now())
        except DatabaseError as trouble:
            logger.warning("%s is found by the sweep a minute later: %s", message, trouble)


def send(app: Celery, message: OutboxMessage) -> None:
    options = dict(message.options)
    options["headers"] = {**options.get("headers", {}), HEADER: True}
    options["retry_policy"] = {"max_retries": 1, "interval_start": 0, "interval_max": 0}
    if message.retries:
        options["retries"] = message.retries
    args, kwargs = from_json(message.args), from_json(message.kwargs)
    task = app.tasks.get(message.task)
    if task is None:
        app.send_task(message.task, args, kwargs, task_id=message.id, **options)
    else:
        task.apply_async(args, kwargs, task_id=message.id, **options)


# --- running ----------------------------------------------------------------------------------------------------


def take(task_id: str, holder: str) -> None:
    """Takes the lease of the row, or raises what makes Celery drop the message or give it back."""
    free = Q(leased_until=None) | Q(leased_until__lt=Now())
    try:
        taken = OutboxMessage.objects.filter(free, pk=task_id, acknowledged_at=None).update(
            holder=holder,
            leased_until=from_now(LEASE_SECONDS),
            next_send_at=from_now(LEASE_SECONDS),
            started_at=Now(),
            runs=F("runs") + 1,
        )
        row = OutboxMessage.objects.filter(pk=task_id).values("runs", "state", "acknowledged_at", "holder").first()
    except DatabaseError as error:
        logger.warning("Task %s goes back to its queue, for the database does not answer: %s", task_id, error)
        time.sleep(DATABASE_PAUSE_SECONDS)
        raise Reject(error, requeue=True) from error
    if taken and row and row["runs"] > RUNS_WITHOUT_OUTCOME:
        raise RanTooOften(f"{RUNS_WITHOUT_OUTCOME} runs ended without an outcome; did the kernel kill them?")
    if taken:
        return
    if row is None:
        reason = "its row is gone"
    elif row["acknowledged_at"]:
        reason = f"it ended before as {row['state']}"
    else:
        reason = f"{row['holder']} works on it"
    logger.info("A copy of task %s is dropped: %s", task_id, reason)
    raise Ignore


def held_by(task_id: str, holder: str | None) -> Any:
    rows = OutboxMessage.objects.filter(pk=task_id, acknowledged_at=None)
    return rows.filter(holder=holder) if holder else rows


def acknowledge(task_id: str, state: str, holder: str | None = None) -> bool:
    """Whether this call closed the row, which only the run that holds it can; without `holder`, the main process."""
    return bool(held_by(task_id, holder).update(acknowledged_at=Now(), state=state, leased_until=None))


def give_back(task_id: str, holder: str) -> None:
    """Frees the row for the message that returns to the queue."""
    held_by(task_id, holder).update(
        leased_until=None,
        started_at=None,
        runs=F("runs") - 1,
        sent_at=Now(),
        next_send_at=from_now(FIRST_RESEND_SECONDS),
    )


def close_row(sender: Any, task_id: str | None, state: str) -> None:
    if not isinstance(sender, OutboxTask) or task_id is None:
        return
    holder = getattr(sender.request, "outbox_holder", None)
    acknowledge(task_id, state, holder)
    if holder is None:
        close_connection_of_main_process()


def close_connection_of_main_process() -> None:
    """Its children would inherit the connection."""
    if not transaction.get_connection().in_atomic_block:
        transaction.get_connection().close()


@signals.task_success.connect
def close_succeeded(sender: Any, **_: Any) -> None:
    if getattr(sender.request, "outbox_holder", None):
        close_row(sender, sender.request.id, states.SUCCESS)


@signals.task_failure.connect
def close_failed(sender: Any, task_id: str | None = None, **_: Any) -> None:
    """Failures in a run, and in the main process hard time limits and runs that were killed too often."""
    close_row(sender, task_id, states.FAILURE)


@signals.task_revoked.connect
def close_revoked(sender: Any, request: Any = None, terminated: bool = False, **_: Any) -> None:
    is_stopping = worker_state.should_stop is not None or worker_state.should_terminate is not None
    if not (terminated and is_stopping):
        close_row(sender, getattr(request, "id", None), states.REVOKED)


@signals.task_retry.connect
def free_killed(sender: Any, request: Any = None, **_: Any) -> None:
    """The main process retries a run whose process died (`task_retry_on_worker_lost`)."""
    if isinstance(sender, OutboxTask) and getattr(sender.request, "outbox_holder", None) is None:
        delay = sender.default_retry_delay
        OutboxMessage.objects.filter(pk=request.id, acknowledged_at=None).update(
            leased_until=None, retries=request.retries + 1, next_send_at=from_now(delay + FIRST_RESEND_SECONDS)
        )
        close_connection_of_main_process()


@signals.task_postrun.connect
def stop_renewing(sender: Any, **_: Any) -> None:
    if holder := getattr(sender.request, "outbox_holder", None):
        keeper.drop(holder)


# --- the sweep --------------------------------------------------------------------------------------------------


class Queues:
    """What the sweep knows of each queue: its length, and the newest message of which a run has started."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._lengths: dict[str, int] = {}
        self._fronts: dict[str, datetime | None] = {}

    def length(self, queue: str) -> int:
        if queue not in self._lengths:
            with self._app.connection_for_write() as broker:
                declared = self._app.amqp.queues[queue](broker.default_channel).queue_declare()
            self._lengths[queue] = declared.message_count
        return self._lengths[queue]

    def front(self, queue: str) -> datetime | None:
        if queue not in self._fronts:
            started = OutboxMessage.objects.filter(queue=queue, started_at__isnull=False)
            self._fronts[queue] = started.aggregate(front=Max("sent_at"))["front"]
        return self._fronts[queue]


def is_missing(message: OutboxMessage, queues: Queues, now: datetime, visibility_timeout: float) -> bool:
    """Whether the broker lost the message, as opposed to: it still waits in a long queue.

    Lost is what was never sent, what a killed run left behind, what newer messages of its queue have overtaken,
    what should be in a queue that is empty, and what has waited longer than Redis hides a message.
    """
    if message.sent_at is None or message.started_at is not None:
        return True
    front = queues.front(message.queue)
    return (
        (front is not None and message.sent_at < front)
        or queues.length(message.queue) == 0
        or now - message.sent_at > timedelta(seconds=visibility_timeout)
    )


def sweep(app: Celery | None = None) -> dict[str, int]:
    """Sends again what is open, due and missing; forgets what ended a day ago. Safe to run twice at once."""
    app = app or current_app._get_current_object()
    sent = 0
    queues = Queues(app)
    while sent < SWEEP_LIMIT:
        looked_at, sent_now = sweep_batch(app, queues)
        sent += sent_now
        if looked_at < SWEEP_BATCH:
            break
    return {"sent": sent, "forgotten": forget_ended()}


def longest_interval(app: Celery) -> float:
    return float(app.conf.broker_transport_options.get("visibility_timeout", 3600))


@transaction.atomic
def sweep_batch(app: Celery, queues: Queues) -> tuple[int, int]:
    """How many rows were due, and how many of them were sent. Raises nothing for a broker that is away."""
    open_rows = OutboxMessage.objects.filter(acknowledged_at=None, next_send_at__lte=Now())
    free = Q(leased_until=None) | Q(leased_until__lt=Now())
    due = list(
        open_rows.filter(free)
        .select_for_update(skip_locked=True)
        .annotate(now=Now())
        .order_by("next_send_at")[:SWEEP_BATCH]
    )
    cap = longest_interval(app)
    sent = 0
    for message in due:
        expires = moment(message.options.get("expires"))
        if expires and expires < message.now:
            acknowledge(message.pk, "EXPIRED")
            continue
        pause = min(FIRST_RESEND_SECONDS * 2**message.sends, cap)
        try:
            if not is_missing(message, queues, message.now, cap):
                OutboxMessage.objects.filter(pk=message.pk).update(next_send_at=from_now(FIRST_RESEND_SECONDS))
                continue
            send(app, message)
        except (OperationalError, OSError) as error:
            logger.warning("The sweep stops at %s: %s", message, error)
            return 0, sent
        except Exception:
            # The row stays open and is tried again, as far apart as any other; it must not keep the rest back.
            logger.exception("The sweep cannot send %s", message)
        sent += 1
        OutboxMessage.objects.filter(pk=message.pk).update(
            sent_at=Now(),
            started_at=None,
            sends=F("sends") + 1,
            next_send_at=from_now(pause),
            queue=queue_of(app, message.task, message.options),
        )
    return len(due), sent


def forget_ended() -> int:
    """Deletes the rows that ended longer ago than a copy of their message can turn up."""
    forgotten = 0
    while True:
        old = OutboxMessage.objects.filter(acknowledged_at__lt=Now() - KEEP).values("pk")[:CLEAN_UP_BATCH]
        deleted, _ = OutboxMessage.objects.filter(pk__in=list(old.values_list("pk", flat=True))).delete()
        forgotten += deleted
        if deleted < CLEAN_UP_BATCH:
            return forgotten
