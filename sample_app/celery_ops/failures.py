"""Keeps the tasks that failed for good, so that somebody can look at them and run them again (replay.py).

Where the database does not answer nothing is kept: the worker's log has the failure, and an OutboxTask its open row.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from celery import signals, states
from celery.utils.log import get_logger
from django.db.models.functions import Now

from celery_ops import correlation, outbox
from celery_ops.database import DATABASE_IS_AWAY, drop_broken_connection, short_connection
from celery_ops.models import FailedTask, OutboxMessage

REPLAY_HEADER = "celery_ops_replay"
SECONDS_WITHOUT_DATABASE = 10
MOST_CHARACTERS = 50_000
"""Of a traceback, whose end tells most."""
CHANGING = ("task", "args", "kwargs", "options", "queue", "worker", "correlation_id", "exception", "traceback")
# What a replay has anew, and of a chord, which has counted its member and given up, everything.
NOT_KEPT = ("task_id", "retries", "expires", "reply_to", "origin", "chord", "group_id", "group_index")
DELAYED = re.compile(r"^(?:[01]\.){28}")
"""What RabbitMQ's delayed delivery puts before a queue's name (kombu 5.7.0, transport/native_delayed_delivery.py)."""

logger = get_logger(__name__)
database_is_away_until = 0.0


@signals.task_failure.connect
def keep_failed(
    sender: Any, task_id: str, exception: BaseException, args: Any, kwargs: Any, einfo: Any = None, **_: Any
) -> None:
    """In a run, and in the main process for a time limit, a lost process and a rejection."""
    request = sender.request
    if request.is_eager:
        return

    def write() -> None:
        if outbox.is_from_outbox(request) and not has_failed(task_id):
            # It lost its lease, or never had one: another run ends it.
            return
        store(
            task_id,
            task=sender.name,
            args=outbox.as_json(list(args or ())),
            kwargs=outbox.as_json(dict(kwargs or {})),
            options=outbox.as_json(kept_options(request)),
            queue=DELAYED.sub("", (request.delivery_info or {}).get("routing_key") or ""),
            worker=request.hostname or "",
            correlation_id=correlation.id_of(vars(request)),
            exception=f"{type(exception).__name__}: {exception}",
            traceback=str(getattr(einfo, "traceback", None) or ""),
        )

    keep(write, f"The failure of {sender.name}[{task_id}]")


@signals.task_unknown.connect
def keep_unknown(sender: Any, message: Any, exc: Exception, name: str, id: str, **_: Any) -> None:
    """The worker rejects what it has no task for; of an OutboxTask the sweep sends the row again."""
    if message.headers.get(outbox.HEADER):
        return

    def write() -> None:
        args, kwargs, embedded = message.payload
        follows = {"link": embedded["callbacks"], "link_error": embedded["errbacks"], "chain": embedded["chain"]}
        store(
            id,
            task=name,
            args=outbox.as_json(list(args)),
            kwargs=outbox.as_json(kwargs),
            options=outbox.as_json({key: value for key, value in follows.items() if value}),
            queue=DELAYED.sub("", message.delivery_info.get("routing_key") or ""),
            worker=sender.hostname,
            correlation_id=correlation.id_of(message.headers),
            exception=f"NotRegistered: the worker has no task {name}",
        )

    keep(write, f"The message of {name}[{id}], which this worker does not know,")


@signals.task_success.connect
def note_recovery(sender: Any, **_: Any) -> None:
    if sender.request.get(REPLAY_HEADER):
        rows = FailedTask.objects.filter(pk=sender.request.id)
        keep(lambda: rows.update(outcome=FailedTask.Outcome.RECOVERED), f"The success of {sender.name}")


def keep(write: Callable[[], object], what: str) -> None:
    """Waits for a silent database only once in a while, and raises nothing: this is a worker at work."""
    global database_is_away_until
    if time.monotonic() < database_is_away_until:
        logger.warning("%s is not kept: the database did not answer a moment ago", what)
        return
    try:
        drop_broken_connection()
        with short_connection():
            write()
    except DATABASE_IS_AWAY as error:
        database_is_away_until = time.monotonic() + SECONDS_WITHOUT_DATABASE
        logger.warning("%s is not kept: %s", what, error)
    except Exception:
        logger.exception("%s is not kept", what)


def has_failed(task_id: str) -> bool:
    return OutboxMessage.objects.filter(pk=task_id, state=states.FAILURE).exists()


def kept_options(request: Any) -> dict[str, Any]:
    options = {name: value for name, value in request.as_execution_options().items() if value}
    headers = {name: value for name, value in options.pop("headers", {}).items() if name != outbox.HEADER}
    return {name: value for name, value in options.items() if name not in NOT_KEPT} | {"headers": headers}


def store(task_id: str, exception: str, traceback: str = "", **fields: Any) -> None:
    """Over what is there of an earlier failure of the task."""
    failed = FailedTask(
        task_id=task_id,
        exception=storable(exception),
        traceback=storable(traceback),
        failed_at=Now(),
        outcome=FailedTask.Outcome.FAILED,
        **fields,
    )
    FailedTask.objects.bulk_create(
        [failed],
        update_conflicts=True,
        unique_fields=["task_id"],
        update_fields=[*CHANGING, "failed_at", "replayed_at", "outcome"],
    )


def storable(text: str) -> str:
    """PostgreSQL takes no NUL."""
    return text.replace("\0", "\ufffd")[-MOST_CHARACTERS:]
