"""What follows a task of the outbox, its `link` and the rest of its chain: published with its outcome.

Celery sends followers when the run is over, which a broker that is away, or a kill, prevents. Here they are published
before, by Celery's own canvas, while OutboxTasks write rows instead of sending: in the transaction that closes the row
of the task that they follow.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from celery import Signature
from celery.result import ResultBase
from django.db import transaction

writes_rows: ContextVar[bool] = ContextVar("writes_rows", default=False)


@contextmanager
def rows_instead_of_messages(wanted: bool = True) -> Iterator[None]:
    """While OutboxTasks are published by Celery's canvas."""
    token = writes_rows.set(wanted)
    try:
        yield
    finally:
        writes_rows.reset(token)


def canvas_on_commit(canvas: Signature[Any]) -> ResultBase:
    """Publishes a signature, chain, group or chord with the caller's transaction; returns its result."""
    if canvas.app.conf.task_always_eager:
        result: ResultBase = canvas.freeze()
        transaction.on_commit(canvas.apply_async)
        return result
    with transaction.atomic(), rows_instead_of_messages():
        published: ResultBase = canvas.apply_async()
        return published


def publish_followers(task: Any, outcome: Any) -> None:
    """Leaves nothing to do for celery/app/trace.py, `_dispatch_callbacks_and_chain`."""
    request, app = task.request, task.app
    inherited = {"parent_id": request.id, "root_id": request.root_id or request.id}
    if app.conf.task_inherit_parent_priority:
        inherited["priority"] = (request.delivery_info or {}).get("priority")
    with rows_instead_of_messages():
        for link in request.callbacks or ():
            app.signature(link).apply_async((outcome,), **inherited)
        if request.chain:
            *later, first = request.chain
            app.signature(first).apply_async((outcome,), chain=later, **inherited)
    request.callbacks = request.chain = None


def first_tasks(canvas: Any) -> list[str]:
    """The names of those that start when the signature is published."""
    if not hasattr(canvas, "tasks"):
        return [canvas.task]
    firsts = canvas.tasks[:1] if canvas.subtask_type == "chain" else canvas.tasks
    return [name for first in firsts for name in first_tasks(first)]
