"""What tells the operator, beside the tasks that it tells of."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from celery_ops.models import OutboxMessage
from celery_ops.outbox import OutboxTask
from shop.models import Notice
from shop.retrying import UNTIL_THE_DATABASE_IS_BACK


@shared_task(base=OutboxTask, **UNTIL_THE_DATABASE_IS_BACK)
def tell_operator(text: str, key: str) -> None:
    """A `link`: Celery puts the outcome of the task before it first."""
    Notice.objects.tell(key, text)


def publish_and_tell(task: OutboxTask, *args: Any) -> None:
    """With the caller's transaction; the operator hears of it when the task failed for good."""
    task.apply_async_on_commit(args, link_error=tell_of_failure.s())


@shared_task(rate_limit="10/s", **UNTIL_THE_DATABASE_IS_BACK)
def tell_of_failure(task_id: str) -> None:
    """A `link_error`: Celery sends it with the id of the task that failed, by the broker alone.

    It is limited, as failures come in crowds. A limited task keeps its place in the worker while it waits, so a low
    limit wants a queue and a pool of its own.
    """
    message = OutboxMessage.objects.filter(pk=task_id).first()
    if message:
        Notice.objects.tell(f"task-{task_id}", f"{message.task} failed for {message.args}.")
