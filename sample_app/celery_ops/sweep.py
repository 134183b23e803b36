"""The sweep of the outbox: sends again what the broker lost, and forgets what ended long ago."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from amqp.exceptions import NotFound
from celery import Celery, current_app, states
from celery.utils.log import get_logger
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from kombu.exceptions import OperationalError

from celery_ops import environment, outbox
from celery_ops.database import from_now
from celery_ops.leases import LEASE_SECONDS
from celery_ops.models import FailedTask, OutboxMessage

SWEEP_BATCH = 100
SWEEP_LIMIT = 10_000
FRONT_OF = 1000
CLEAN_UP_BATCH = 1000
KEEP_SUCCEEDED = timedelta(seconds=environment.seconds("CELERY_OUTBOX_KEEP_SUCCEEDED", 86400))
KEEP_OTHERS = timedelta(seconds=environment.seconds("CELERY_OUTBOX_KEEP_OTHERS", 30 * 86400))

logger = get_logger(__name__)


@dataclass(frozen=True)
class Swept:
    sent: int
    forgotten: int
    is_left: bool
    """Whether a sweep in a moment may do more: when the broker answers, or when leases are over."""


def sweep(app: Celery | None = None) -> Swept:
    """Sends again what is open, due and missing; forgets what ended long ago. Safe to run twice at once."""
    app = app or current_app._get_current_object()
    suspect_expired_leases()
    try:
        sent, is_left = send_missing(app, is_missing(app)), are_leases_expired()
    except outbox.BROKER_IS_AWAY as error:
        logger.warning("The sweep sends nothing: %s", error)
        sent, is_left = 0, True
    return Swept(sent, forget_ended(), is_left)


def due_rows() -> QuerySet[OutboxMessage]:
    return OutboxMessage.objects.filter(acknowledged_at=None, next_send_at__lte=Now())


@transaction.atomic
def suspect_expired_leases() -> None:
    expired = due_rows().filter(leased_until__lt=Now(), suspected_at=None).select_for_update(skip_locked=True)
    outbox.suspect(list(expired.values_list("pk", flat=True)[:SWEEP_LIMIT]))


def are_leases_expired() -> bool:
    """Whether there are some that were noticed within the last LEASE_SECONDS, and may still be renewed."""
    soon_due = Q(next_send_at__gt=Now(), next_send_at__lte=from_now(LEASE_SECONDS))
    return OutboxMessage.objects.filter(soon_due, acknowledged_at=None, leased_until__lt=Now()).exists()


def send_missing(app: Celery, missing: Q) -> int:
    sent = 0
    after: datetime | None = None
    refusing: set[str] = set()
    for _ in range(SWEEP_LIMIT // SWEEP_BATCH):
        sent_now, after = sweep_batch(app, missing, after, refusing)
        sent += sent_now
        if after is None:
            break
    return sent


def visibility_timeout(app: Celery) -> float:
    """RabbitMQ hides no message; one that waits for so long is sent again there too, and its copy dropped."""
    return float(app.conf.broker_transport_options.get("visibility_timeout", 3600))


def is_missing(app: Celery) -> Q:
    """Whether the broker lost the message, as opposed to: it still waits in a long queue.

    Lost is what was never sent, what a killed run left behind, what newer messages of its queue have overtaken,
    what should be in a queue that is empty, and what has waited longer than Redis hides a message.
    """
    hidden_at_most = timedelta(seconds=visibility_timeout(app))
    missing = Q(sent_at=None) | Q(started_at__isnull=False) | Q(sent_at__lt=Now() - hidden_at_most)
    for queue, length in lengths(app, due_rows().values_list("queue", flat=True).distinct()).items():
        started = OutboxMessage.objects.filter(queue=queue, started_at__isnull=False)
        # The index finds them by `sent_at`, which a retry, an ETA, a stop and a second copy set to later than the place
        # in the queue.
        newest = started.exclude(sent_at=None).order_by("-sent_at").values_list("created_at", flat=True)[:FRONT_OF]
        front = max(newest, default=None)
        if length == 0:
            missing |= Q(queue=queue)
        elif front:
            missing |= Q(queue=queue, sent_at__lt=front)
    return missing


def lengths(app: Celery, queues: Iterable[str]) -> dict[str, int | None]:
    """How many messages wait in each queue; None for a queue that cannot be asked."""
    counted: dict[str, int | None] = {}
    with app.connection_for_write() as broker:
        for queue in queues:
            broker.ensure_connection(max_retries=len(broker.alt) or 1)
            try:
                with broker.channel() as channel:
                    # RabbitMQ says that a queue is not there; a list that is not there is an empty queue of Redis.
                    is_passive = broker.transport.driver_type == "amqp"
                    counted[queue] = app.amqp.queues[queue](channel).queue_declare(passive=is_passive).message_count
            except NotFound:
                counted[queue] = 0
            except broker.connection_errors as error:
                raise OperationalError(str(error)) from error
            except Exception:
                logger.exception("The sweep cannot tell the length of the queue %s", queue)
                counted[queue] = None
    return counted


@transaction.atomic
def sweep_batch(app: Celery, missing: Q, after: datetime | None, refusing: set[str]) -> tuple[int, datetime | None]:
    """How many were sent, and where the next batch starts, if any. Raises nothing for a broker that is away.

    Adds the queues that take nothing to `refusing`, and leaves their messages to the next sweep.
    """
    rows = due_rows().filter(outbox.is_free(), missing).select_for_update(skip_locked=True).annotate(now=Now())
    rows = rows.exclude(queue__in=refusing)
    if after:
        # What was looked at is due later; to read past it again and again takes long in a long table.
        rows = rows.filter(next_send_at__gte=after)
    due = list(rows.order_by("next_send_at")[:SWEEP_BATCH])
    cap = visibility_timeout(app)
    sent = 0
    for message in due:
        if message.queue in refusing:
            continue
        row = outbox.open_row(message.pk)
        expires = outbox.moment(message.options.get("expires"))
        if expires and expires < message.now:
            outbox.acknowledge(row, "EXPIRED")
            continue
        changes: dict[str, Any] = {}
        try:
            outbox.send(app, message)
            changes["queue"] = outbox.queue_of(app, message.task, message.options, message.args, message.kwargs)
        except outbox.BROKER_IS_AWAY as error:
            logger.warning("The sweep stops at %s: %s", message, error)
            # Behind the others, in case that it is this message which the broker does not take.
            row.update(next_send_at=Now())
            return sent, None
        except outbox.QueueTakesNothing as error:
            logger.warning("The sweep leaves the queue %s to the next: %s", message.queue, error)
            refusing.add(message.queue)
            row.update(sent_at=None, next_send_at=Now())
            continue
        except Exception:
            # The row stays open and is tried again, as far apart as any other; it must not keep the rest back.
            logger.exception("The sweep cannot send %s", message)
        sent += 1
        row.update(
            sent_at=Now(),
            started_at=None,
            leased_until=None,
            sends=F("sends") + 1,
            next_send_at=from_now(min(outbox.FIRST_RESEND_SECONDS * 2**message.sends, cap)),
            **changes,
        )
    return sent, due[-1].next_send_at if len(due) == SWEEP_BATCH else None


def forget_ended() -> int:
    """Deletes what ended longer ago than a copy of its message, or somebody who wants to run it again, turns up."""
    forgettable = Q(state=states.SUCCESS, acknowledged_at__lt=Now() - KEEP_SUCCEEDED) | Q(
        ~Q(state=states.SUCCESS), acknowledged_at__lt=Now() - KEEP_OTHERS
    )
    # One that was replayed as long ago as that has its end by now.
    is_replayed_lately = Q(outcome=FailedTask.Outcome.REPLAYED, replayed_at__gte=Now() - KEEP_OTHERS)
    failed = FailedTask.objects.filter(~is_replayed_lately, failed_at__lt=Now() - KEEP_OTHERS)
    return forget(OutboxMessage.objects.filter(forgettable)) + forget(failed)


def forget(rows: QuerySet[OutboxMessage] | QuerySet[FailedTask]) -> int:
    forgotten = 0
    while True:
        old = rows.values_list("pk", flat=True)[:CLEAN_UP_BATCH]
        deleted, _ = rows.model._default_manager.filter(pk__in=list(old)).delete()
        forgotten += deleted
        if deleted < CLEAN_UP_BATCH:
            return forgotten
