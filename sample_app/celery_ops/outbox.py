"""An outbox: tasks that are published with the transaction that wants them, and are not lost with the broker.

`delay_on_commit` of an OutboxTask writes a row in the caller's transaction and sends the message after the commit.
The row, not the message, is the truth: it stays open until the task ended. The sweep sends again what the broker
lost. A message of which there are two copies takes effect once, by a lease on the row: a run takes it with one
UPDATE, keeps it while it works, and a copy that finds it taken, or the row acknowledged, is dropped. A run that
dies gives the lease back (a stop) or lets it expire (a kill), and the sweep sends the message again. As a run
cannot renew its lease while the database is away, an expired lease counts for as long again from when it is noticed.

What follows an OutboxTask, a `link` or the next of its chain, is published with its outcome (followers.py).

The rows are in the database `default`, so only its transactions publish.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NoReturn
from uuid import uuid4

from amqp.exceptions import MessageNacked
from celery import Celery, signals, states
from celery.backends.asynchronous import E_RETRY_LIMIT_EXCEEDED
from celery.contrib.django.task import DjangoTask
from celery.exceptions import Ignore, Reject, Retry, TimeLimitExceeded
from celery.result import EagerResult
from celery.utils import uuid
from celery.utils.log import get_logger
from celery.utils.time import maybe_iso8601, maybe_make_aware
from celery.worker import state as worker_state
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Greatest, Now
from django.utils import timezone
from kombu.exceptions import OperationalError
from kombu.utils import json as kombu_json

from celery_ops import correlation
from celery_ops.database import (
    DATABASE_ERRORS,
    DATABASE_IS_AWAY,
    drop_broken_connection,
    from_now,
    short_connection,
)
from celery_ops.followers import (
    CannotPublishNow,
    Publishing,
    first_tasks,
    is_of_outbox,
    publish_followers,
    publishing,
    rows_instead_of_messages,
)
from celery_ops.leases import LEASE_SECONDS, keeper
from celery_ops.models import OutboxMessage

HEADER = "celery_ops_outbox"
FIRST_RESEND_SECONDS = 60
RUNS_WITHOUT_OUTCOME = 10
SECONDS_WITHOUT_BROKER = 10
PAUSE_SECONDS = 5
# What a caller gives to `apply_async` that is no data.
FOR_THE_SENDER = ("producer", "publisher", "connection", "router", "add_to_parent")
BROKER_IS_AWAY = (OperationalError, OSError)
CANNOT_END_NOW = (*DATABASE_IS_AWAY, CannotPublishNow)

logger = get_logger(__name__)


class RanTooOften(Exception):
    """The task's process died in each of its runs."""


class QueueTakesNothing(Exception):
    """RabbitMQ's queue is full, or not bound to its exchange; another may take what is sent to it."""


class RetryWithoutMessage(Exception):
    """`raise Retry()` sends nothing."""


class OutboxTask(DjangoTask):
    """Base of tasks that must not be lost: `@shared_task(base=OutboxTask)`, published by `delay_on_commit`.

    With `atomic = True` the run and its acknowledgement are one database transaction, so that what the task does
    to the database happens exactly once, even if the process dies between the two. Otherwise write the task so that
    it may run twice.
    """

    abstract = True
    is_of_outbox = True
    atomic = False
    Request = "celery_ops.outbox_request:OutboxRequest"
    # A child process that was killed is replaced at once; three minutes, Celery's default, are long for a customer.
    default_retry_delay = 30

    def delay_on_commit(self, *args: Any, **kwargs: Any) -> str:
        """Publishes the task with the caller's transaction; returns its id."""
        return self.apply_async_on_commit(args, kwargs)

    def apply_async_on_commit(self, args: Any = None, kwargs: dict[str, Any] | None = None, **options: Any) -> str:
        """As `delay_on_commit`, with the options of `apply_async` that are data."""
        if self.typing:
            self.__header__(*(args or ()), **(kwargs or {}))
        if self.atomic and publishing.get() in (None, Publishing.ASKED):
            self._refuse_what_a_kill_loses(options)
        options = correlation.with_header(with_absolute_times(options))
        message = OutboxMessage(
            id=str(options.pop("task_id", None) or uuid()),
            task=self.name,
            args=as_json(list(args or ())),
            kwargs=as_json(kwargs or {}),
            options=as_json(options),
            queue=queue_of(self.app, self.name, options, args, kwargs),
            **times_of(options),
        )
        # A follower is there already when the run before it is repeated.
        is_follower = publishing.get() in (Publishing.FOLLOWS, Publishing.BODY)
        OutboxMessage.objects.bulk_create([message], ignore_conflicts=is_follower)
        transaction.on_commit(lambda: send_or_leave_to_sweep(self.app, message))
        return message.id

    def _refuse_what_a_kill_loses(self, options: dict[str, Any]) -> None:
        """What Celery, and not the outbox, would send after the commit of an atomic task."""
        if options.get("chord"):
            raise TypeError(
                f"{self.name}: chord is lost by a kill after the commit of an atomic task; "
                "publish what follows by delay_on_commit inside this one"
            )
        links = options.get("link") or []
        canvases = [*(links if isinstance(links, (list, tuple)) else [links]), *(options.get("chain") or ())[-1:]]
        for name in (name for canvas in canvases for name in first_tasks(self.app.signature(canvas))):
            if not is_of_outbox(self.app, name):
                raise TypeError(
                    f"{self.name}: {name}, which follows it, is lost by a kill after the commit of an atomic task; "
                    f"make {name} an OutboxTask"
                )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        request = self.request
        if request.called_directly or request.get("outbox_is_entered"):
            return super().__call__(*args, **kwargs)
        request.outbox_is_entered = True
        if not is_from_outbox(request):
            return self.run(*args, **kwargs)
        request.outbox_holder = holder = f"{request.hostname}/{os.getpid()}/{uuid4().hex[:8]}"
        take(request.id, holder)
        keeper.hold(holder)
        row = held_by(request.id, holder)
        try:
            if self.atomic:
                return self._run_and_acknowledge(row, args, kwargs)
            outcome = self._run(args, kwargs)
            if request.callbacks or request.chain:
                self._publish_followers_and_acknowledge(row, outcome)
        except Retry:
            self._send_retry(row)
            raise
        except Ignore:
            with may_fail(request.id):
                acknowledge(row, states.IGNORED)
            raise
        except Reject as rejection:
            with may_fail(request.id):
                give_back(row) if rejection.requeue else acknowledge(row, states.REJECTED)
            raise
        except Exception:
            raise
        except BaseException as error:
            # A stop, or revoke(terminate=True), after which the main process closes the row. After gevent's time limit
            # it closes the one that this run holds.
            if not is_time_limit_of_gevent(error):
                with may_fail(request.id):
                    give_back(row)
            raise
        if not (request.chord or request.get("outbox_is_closed")):
            # Before Celery stores the result, which can fail and takes long when the store is away.
            with may_fail(request.id):
                acknowledge(row, states.SUCCESS)
                request.outbox_is_closed = True
        return outcome

    def _run(self, args: Any, kwargs: Any) -> Any:
        """Runs the task. A retry that it asked for and did not raise is raised here."""
        request = self.request
        try:
            outcome = self.run(*args, **kwargs)
        except Exception as error:
            is_retry = isinstance(error, Retry)
            if is_retry and not request.get("outbox_retry"):
                raise RetryWithoutMessage(f"{self.name} raised Retry itself; call self.retry()") from error
            if not is_retry and request.get("outbox_retry"):
                raise Retry(exc=error) from error
            raise
        if request.get("outbox_retry"):
            raise Retry("the task asked for it and went on")
        return outcome

    def _run_and_acknowledge(self, row: QuerySet[OutboxMessage], args: Any, kwargs: Any) -> Any:
        request = self.request
        raised: BaseException | None = None
        try:
            with transaction.atomic():
                try:
                    outcome = self._run(args, kwargs)
                except BaseException as error:
                    raised = error
                    raise
                leave_the_rest = publish_followers(self, outcome)
                if not acknowledge(row, states.SUCCESS):
                    logger.warning("%s[%s] lost its lease and is rolled back", self.name, request.id)
                    raise Ignore
        except Exception as error:
            if raised is not None and error is not raised:
                # The end of a transaction whose connection broke connects anew, and may fail (Atomic.__exit__).
                raise raised from error
            if raised is not None or not isinstance(error, CANNOT_END_NOW):
                raise
            return_to_queue(request.id, f"its transaction cannot be ended: {error}")
        leave_the_rest()
        request.outbox_is_closed = True
        return outcome

    def _publish_followers_and_acknowledge(self, row: QuerySet[OutboxMessage], outcome: Any) -> None:
        """Or the run is repeated. The result store counts it for a chord after that, so there the row stays open."""
        request = self.request
        try:
            drop_broken_connection()
            with transaction.atomic():
                leave_the_rest = publish_followers(self, outcome)
                if not (row.exists() if request.chord else acknowledge(row, states.SUCCESS)):
                    logger.warning("%s[%s] lost its lease; another run ends it", self.name, request.id)
                    raise Ignore
        except CANNOT_END_NOW as error:
            return_to_queue(request.id, f"what follows it cannot be published: {error}")
        leave_the_rest()
        request.outbox_is_closed = not request.chord

    def apply_async(
        self, args: Any = None, kwargs: dict[str, Any] | None = None, task_id: str | None = None, **options: Any
    ) -> Any:
        request = self.request
        if task_id and task_id == request.id and is_from_outbox(request):
            # Task.retry() publishes: held back until the row is free for the retry, which may start at once, and
            # until the transaction that the task may have opened is over.
            request.outbox_retry = args, kwargs, options
            return None
        if publishing.get():
            return self._apply_by_outbox(args, kwargs, task_id, options)
        return super().apply_async(args, kwargs, task_id=task_id, **options)

    def _apply_by_outbox(self, args: Any, kwargs: Any, task_id: str | None, options: dict[str, Any]) -> Any:
        if self.atomic and options.get("chord") and publishing.get() != Publishing.ASKED:
            # Its row would be closed before the chord counts it; Celery repeats the run instead.
            return self._apply_after_commit(args, kwargs, task_id or uuid(), options)
        is_body = publishing.get() == Publishing.BODY
        data = {name: value for name, value in options.items() if name not in FOR_THE_SENDER}
        try:
            # Where the result store asks for it once, a row that cannot be written spoils no transaction.
            with transaction.atomic() if is_body else nullcontext():
                return self.AsyncResult(self.apply_async_on_commit(args, kwargs, task_id=task_id, **data))
        except DATABASE_ERRORS as error:
            if not is_body:
                raise
            logger.warning("%s is sent without the outbox: %s", self.name, error)
            return super().apply_async(args, kwargs, task_id=task_id, **options)

    def _apply_after_commit(self, args: Any, kwargs: Any, task_id: str, options: dict[str, Any]) -> Any:
        apply = partial(super().apply_async, args, kwargs, task_id=task_id, **{**options, "producer": None})
        transaction.on_commit(apply, robust=True)
        return self.AsyncResult(task_id)

    def _send_retry(self, row: QuerySet[OutboxMessage]) -> None:
        request = self.request
        args, kwargs, options = request.outbox_retry
        options = with_absolute_times(options)
        # What fails here is sent again by the sweep, when the lease is over.
        with may_fail(request.id):
            is_mine = row.update(
                args=as_json(list(args or ())),
                kwargs=as_json(kwargs or {}),
                retries=options.get("retries", request.retries + 1),
                runs=0,
                started_at=None,
                leased_until=None,
                **times_of(options),
            )
            if not is_mine:
                logger.warning("%s[%s] lost its lease and sends no retry", self.name, request.id)
                return
        try:
            super().apply_async(args, kwargs, task_id=request.id, **options)
        except Exception as error:
            logger.warning("The retry of %s[%s] is left to the sweep: %s", self.name, request.id, error)

    def replace(self, sig: Any) -> Any:
        raise NotImplementedError("the outbox does not follow a replaced task; publish the next by delay_on_commit")


def is_time_limit_of_gevent(error: BaseException) -> bool:
    return (type(error).__module__, type(error).__name__) == ("gevent.timeout", "Timeout")


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


def times_of(options: dict[str, Any]) -> dict[str, Any]:
    """When the message is sent, or due for its ETA, and when the sweep looks for it first."""
    due = moment(options.get("eta"))
    sent_at = Greatest(Now(), due) if due else Now()
    return {"sent_at": sent_at, "next_send_at": sent_at + timedelta(seconds=FIRST_RESEND_SECONDS)}


def queue_of(app: Celery, name: str, options: dict[str, Any], args: Any, kwargs: Any) -> str:
    task = app.tasks.get(name)
    if task is not None:
        options = {**task._get_exec_options(), **options}
    route = app.amqp.router.route(dict(options), name, args or (), kwargs or {}, task)
    queue = route.get("queue") or app.conf.task_default_queue
    return str(getattr(queue, "name", queue))


# --- sending ----------------------------------------------------------------------------------------------------

broker_is_away_until = 0.0


def send_or_leave_to_sweep(app: Celery, message: OutboxMessage) -> None:
    """Waits for a silent broker only once in a while, and raises nothing of it: the row is committed already."""
    global broker_is_away_until
    if time.monotonic() < broker_is_away_until:
        leave_to_sweep(message, f"the broker did not answer within the last {SECONDS_WITHOUT_BROKER} s")
        return
    try:
        send(app, message)
    except BROKER_IS_AWAY as error:
        broker_is_away_until = time.monotonic() + SECONDS_WITHOUT_BROKER
        leave_to_sweep(message, error)
    except Exception as error:
        if app.conf.task_always_eager:
            raise
        leave_to_sweep(message, error)


def leave_to_sweep(message: OutboxMessage, reason: object) -> None:
    logger.warning("%s is left to the sweep: %s", message, reason)
    try:
        OutboxMessage.objects.filter(pk=message.pk, started_at=None).update(sent_at=None, next_send_at=Now())
    except DATABASE_ERRORS as trouble:
        logger.warning("%s is found by the sweep a minute later: %s", message, trouble)


def send(app: Celery, message: OutboxMessage) -> None:
    options = dict(message.options)
    options["headers"] = {**options.get("headers", {}), HEADER: True}
    options["retry_policy"] = {"max_retries": 1, "interval_start": 0, "interval_max": 0}
    if message.retries:
        options["retries"] = message.retries
    args, kwargs = from_json(message.args), from_json(message.kwargs)
    task = app.tasks.get(message.task)
    try:
        with rows_instead_of_messages(None):
            if task is None:
                app.send_task(message.task, args, kwargs, task_id=message.id, **options)
            elif app.conf.task_always_eager:
                run_here(task, message.id, args, kwargs, options)
            else:
                task.apply_async(args, kwargs, task_id=message.id, **options)
    except (OperationalError, MessageNacked) as error:
        if isinstance(error.__cause__ or error, MessageNacked):
            raise QueueTakesNothing(str(error)) from error
        raise
    except RuntimeError as error:
        # Before a message is sent, the sender listens to its result (celery/app/task.py, apply_async).
        if str(error) == E_RETRY_LIMIT_EXCEEDED:
            raise OperationalError("the result store does not answer") from error
        raise


def run_here(task: Any, task_id: str, args: Any, kwargs: Any, options: dict[str, Any]) -> None:
    """In Celery's eager mode, which tests use: this was the only run."""
    state = states.FAILURE
    try:
        result: EagerResult = task.apply_async(args, kwargs, task_id=task_id, **options)
        state = result.state
    finally:
        acknowledge(open_row(task_id), state)


# --- running ----------------------------------------------------------------------------------------------------


def is_free() -> Q:
    """Whether nobody works on the row: the one who did would have renewed the lease since it was noticed."""
    return Q(leased_until=None) | Q(leased_until__lt=Now(), suspected_at__lt=from_now(-LEASE_SECONDS))


def open_row(task_id: str) -> QuerySet[OutboxMessage]:
    return OutboxMessage.objects.filter(pk=task_id, acknowledged_at=None)


def held_by(task_id: str, holder: str) -> QuerySet[OutboxMessage]:
    return open_row(task_id).filter(holder=holder)


def held_by_process(task_id: str, runner: str) -> QuerySet[OutboxMessage]:
    """An earlier run of this process, which is not over by a lease, may have been the last to hold it."""
    return open_row(task_id).filter(holder__startswith=runner, leased_until__isnull=False)


def left_by(task_id: str, runner: str | None) -> QuerySet[OutboxMessage]:
    """The row that the run in the process `runner` held, or nobody holds; never another's, who may work on it."""
    return open_row(task_id).filter(is_free() | Q(holder__startswith=runner) if runner else is_free())


def take(task_id: str, holder: str) -> None:
    """Takes the lease of the row, or raises what makes Celery drop the message or give it back."""
    try:
        taken = (
            open_row(task_id)
            .filter(is_free())
            .update(
                holder=holder,
                leased_until=from_now(LEASE_SECONDS),
                suspected_at=None,
                next_send_at=from_now(LEASE_SECONDS),
                started_at=Now(),
                runs=F("runs") + 1,
            )
        )
        rows = OutboxMessage.objects.filter(pk=task_id).only(
            "runs", "state", "acknowledged_at", "holder", "leased_until"
        )
        row = rows.annotate(now=Now()).first()
        if not taken and row and row.leased_until and row.leased_until < row.now:
            suspect([task_id])
            return_to_queue(task_id, f"{row.holder} may still renew its lease")
    except DATABASE_ERRORS as error:
        return_to_queue(task_id, f"the database does not answer: {error}")
    if taken and row and row.runs > RUNS_WITHOUT_OUTCOME:
        raise RanTooOften(f"{RUNS_WITHOUT_OUTCOME} runs ended without an outcome; did the kernel kill them?")
    if taken:
        return
    if row is None:
        reason = "its row is gone"
    elif row.acknowledged_at:
        reason = f"it ended before as {row.state}"
    else:
        reason = f"{row.holder} works on it"
    logger.info("A copy of task %s is dropped: %s", task_id, reason)
    raise Ignore


def suspect(task_ids: list[str]) -> None:
    """Notes that these leases are over, for `is_free`; who renews one takes the note back."""
    OutboxMessage.objects.filter(pk__in=task_ids, leased_until__lt=Now(), suspected_at=None).update(
        suspected_at=Now(), next_send_at=from_now(LEASE_SECONDS)
    )


def return_to_queue(task_id: str, reason: str) -> NoReturn:
    logger.warning("Task %s goes back to its queue, for %s", task_id, reason)
    # Without a pause the message would come back at once, again and again.
    time.sleep(PAUSE_SECONDS)
    raise Reject(reason, requeue=True)


@contextmanager
def may_fail(task_id: str) -> Iterator[None]:
    """What cannot be written down after a run: the row stays as it is until the lease is over."""
    try:
        drop_broken_connection()
        yield
    except DATABASE_ERRORS as error:
        logger.warning("Task %s keeps its lease until this is over: %s", task_id, error)


def acknowledge(rows: QuerySet[OutboxMessage], state: str) -> bool:
    """Whether this call closed the row."""
    return bool(rows.update(acknowledged_at=Now(), state=state, leased_until=None))


def give_back(row: QuerySet[OutboxMessage]) -> None:
    """Frees the row for the message that returns to the queue."""
    row.update(
        leased_until=None,
        started_at=None,
        runs=F("runs") - 1,
        sent_at=Now(),
        next_send_at=from_now(FIRST_RESEND_SECONDS),
    )


def close_row(task_id: str, state: str, request: Any) -> None:
    if holder := request.get("outbox_holder"):
        acknowledge(held_by(task_id, holder), state)
    else:
        with short_connection():
            acknowledge(left_by(task_id, request.get("outbox_runner")), state)


def acknowledge_end(request: Any, state: str) -> bool:
    """Whether the run ends its task: not when it lost its lease, and another one does."""
    holder = request.get("outbox_holder")
    return not holder or acknowledge(held_by(request.id, holder), state)


@signals.task_success.connect
def close_succeeded(sender: Any, **_: Any) -> None:
    request = sender.request
    if request.get("outbox_holder") and not request.get("outbox_is_closed"):
        close_row(request.id, states.SUCCESS, request)


@signals.task_failure.connect
def close_failed(sender: Any, task_id: str | None = None, exception: Any = None, **_: Any) -> None:
    """Failures in a run, and in the main process hard time limits and runs that were killed too often."""
    if not isinstance(sender, OutboxTask) or not task_id:
        return
    runner = sender.request.get("outbox_runner")
    if isinstance(exception, TimeLimitExceeded) and runner:
        # One that waited for the database until its limit took no row: the sweep sends it again.
        with short_connection():
            acknowledge(held_by_process(task_id, runner), states.FAILURE)
    else:
        close_row(task_id, states.FAILURE, sender.request)


@signals.task_revoked.connect
def close_revoked(sender: Any, request: Any = None, terminated: bool = False, **_: Any) -> None:
    is_stopping = worker_state.should_stop is not None or worker_state.should_terminate is not None
    if isinstance(sender, OutboxTask) and request and not (terminated and is_stopping):
        close_row(request.id, states.REVOKED, request)


@signals.task_retry.connect
def free_killed(sender: Any, request: Any = None, **_: Any) -> None:
    """The main process retries a run whose process died (`task_retry_on_worker_lost`)."""
    if isinstance(sender, OutboxTask) and not sender.request.get("outbox_holder"):
        with short_connection():
            left_by(request.id, request.get("outbox_runner")).update(
                leased_until=None,
                retries=request.retries + 1,
                next_send_at=from_now(sender.default_retry_delay + FIRST_RESEND_SECONDS),
            )


@signals.task_postrun.connect
def stop_renewing(sender: Any, **_: Any) -> None:
    if isinstance(sender, OutboxTask) and (holder := sender.request.get("outbox_holder")):
        keeper.drop(holder)
