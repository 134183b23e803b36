"""Publishing by `delay_on_commit`, and what became of the task."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from celery_ops.models import OutboxMessage
from tests.waiting import until

LONG_AGO = timedelta(hours=-2)


def row(task_id: str) -> OutboxMessage:
    return OutboxMessage.objects.get(pk=task_id)


def make_due(*task_ids: str, **changes: Any) -> None:
    """Turns the clock of rows forward, past their pause and past a lease that nobody renews."""
    OutboxMessage.objects.filter(pk__in=task_ids).update(next_send_at=timezone.now() + LONG_AGO, **changes)


def until_ended(*task_ids: str, state: str = "SUCCESS", seconds: float = 30) -> list[OutboxMessage]:
    """The rows of the tasks once all have ended, which they must as `state`."""

    open_rows = OutboxMessage.objects.filter(pk__in=task_ids, acknowledged_at=None)
    try:
        until(lambda: not open_rows.exists(), seconds, why="tasks end")
    except AssertionError as error:
        raise AssertionError(f"{error}; open are {list(open_rows.values())}, now {timezone.now()}") from None
    rows = list(OutboxMessage.objects.filter(pk__in=task_ids))
    assert len(rows) == len(task_ids)
    assert {row.state for row in rows} == {state}, rows
    return rows


def in_another_transaction(publish: Callable[[], list[str]]) -> list[str]:
    """Publishes while the caller's transaction goes on."""

    def in_thread() -> list[str]:
        try:
            return publish()
        finally:
            connection.close()

    with ThreadPoolExecutor() as threads:
        return threads.submit(in_thread).result()


def state_of(task_id: str) -> str:
    return row(task_id).state
