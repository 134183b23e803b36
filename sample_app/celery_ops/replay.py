"""Runs tasks again that ended without success, under the id that they had: whoever asks for the result gets it.

A row of the outbox is opened again. Any other task is sent by one that is in the outbox itself, so neither is lost
between the click and the broker.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from celery import shared_task, states
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from celery_ops import outbox
from celery_ops.failures import REPLAY_HEADER
from celery_ops.followers import is_of_outbox
from celery_ops.models import FailedTask, OutboxMessage

LONGEST_PAUSE = 300
UNHEARD_OF = timedelta(hours=1)
"""After so long a replay may be repeated of which nothing was heard, as the database was away or the message lost."""


@transaction.atomic
def replay(task_ids: Iterable[str]) -> list[str]:
    """Of these tasks the ones that are sent again by this call, and by no other at the same time."""
    asked, long_ago = list(task_ids), timezone.now() - UNHEARD_OF
    failed = FailedTask.objects.filter(pk__in=asked).exclude(outcome=FailedTask.Outcome.RECOVERED)
    rows = OutboxMessage.objects.filter(pk__in=asked)
    # Who comes second waits here, and then finds them as the first has left them.
    found = failed.select_for_update().order_by("pk")
    unsent = {each.pk for each in found if not each.replayed_at or each.replayed_at < long_ago}
    opened = [open_again(row) for row in rows.select_for_update().order_by("pk") if is_without_success(row)]
    plain = sorted(unsent - set(rows.values_list("pk", flat=True)))
    for task_id in plain:
        send_again.delay_on_commit(task_id)
    failed.filter(pk__in=[*opened, *plain]).update(replayed_at=Now(), outcome=FailedTask.Outcome.REPLAYED)
    return [*opened, *plain]


def is_without_success(row: OutboxMessage) -> bool:
    return row.acknowledged_at is not None and row.state != states.SUCCESS


def open_again(row: OutboxMessage) -> str:
    """The next sweep sends it."""
    options = {name: value for name, value in row.options.items() if name not in ("chord", "expires", "eta")}
    OutboxMessage.objects.filter(pk=row.pk).update(
        options=options | {"headers": options.get("headers", {}) | {REPLAY_HEADER: True}},
        acknowledged_at=None,
        state="",
        started_at=None,
        sent_at=None,
        runs=0,
        retries=0,
        next_send_at=Now(),
    )
    return row.pk


@shared_task(
    base=outbox.OutboxTask,
    bind=True,
    name="celery_ops.replay.send_again",
    autoretry_for=outbox.BROKER_IS_AWAY,
    max_retries=None,
    retry_backoff=True,
    retry_backoff_max=LONGEST_PAUSE,
)
def send_again(self: Any, task_id: str) -> None:
    failed = FailedTask.objects.filter(pk=task_id, outcome=FailedTask.Outcome.REPLAYED).first()
    if failed is None:
        return
    options = {name: value for name, value in outbox.from_json(failed.options).items() if name != "headers"}
    options |= {"task_id": task_id, "headers": failed.options.get("headers", {}) | {REPLAY_HEADER: True}}
    if failed.queue:
        options["queue"] = failed.queue
    args, kwargs = outbox.from_json(failed.args), outbox.from_json(failed.kwargs)
    if is_of_outbox(self.app, failed.task):
        self.app.tasks[failed.task].apply_async_on_commit(args, kwargs, **options)
    else:
        self.app.signature(failed.task, args, kwargs, **options).apply_async()
