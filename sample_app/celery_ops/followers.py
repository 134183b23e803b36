"""What follows a task of the outbox, its `link` and the rest of its chain: published with its outcome.

Celery sends followers when the run is over, which a broker that is away, or a kill, prevents. Here they are published
before, by Celery's own canvas, while OutboxTasks write rows instead of sending: in the transaction that closes the row
of the task that they follow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from celery import Signature
from celery.backends.asynchronous import E_RETRY_LIMIT_EXCEEDED
from celery.result import ResultBase
from django.db import transaction
from kombu.exceptions import OperationalError
from redis import exceptions as redis_errors

# `redis` has errors of its own, which Celery's result store lets through.
AWAY = (OperationalError, OSError, redis_errors.ConnectionError, redis_errors.TimeoutError)


class Publishing(Enum):
    """Why OutboxTasks write rows while Celery's canvas publishes them."""

    ASKED = "somebody publishes a canvas"
    FOLLOWS = "a run publishes what follows it"
    BODY = "the result store publishes a chord's body"


publishing: ContextVar[Publishing | None] = ContextVar("publishing", default=None)


class CannotPublishNow(Exception):
    """The broker, or the result store that counts a chord, does not answer."""


@contextmanager
def rows_instead_of_messages(reason: Publishing | None) -> Iterator[None]:
    token = publishing.set(reason)
    try:
        yield
    finally:
        publishing.reset(token)


def canvas_on_commit(canvas: Signature[Any]) -> ResultBase:
    """Publishes a signature, chain, group or chord with the caller's transaction; returns its result.

    Raises TypeError where it begins with a task that is no OutboxTask, which would be sent before the commit. A chord
    wants a result store that answers.
    """
    app = canvas.app
    for name in first_tasks(canvas):
        if not is_of_outbox(app, name):
            raise TypeError(f"{name}: would be sent before the transaction is committed; make it an OutboxTask")
    if app.conf.task_always_eager:
        result: ResultBase = canvas.freeze()
        transaction.on_commit(canvas.apply_async)
        return result
    with transaction.atomic(), rows_instead_of_messages(Publishing.ASKED):
        published: ResultBase = canvas.apply_async()
        return published


def publish_followers(task: Any, outcome: Any) -> Callable[[], None]:
    """Does what celery/app/trace.py, `_dispatch_callbacks_and_chain`, would do after the run.

    What it returns is to be called when the transaction is committed: the rest is Celery's, which sends nothing of an
    atomic task before that.
    """
    request, app = task.request, task.app
    inherited = {"parent_id": request.id, "root_id": request.root_id or request.id}
    if app.conf.task_inherit_parent_priority:
        inherited["priority"] = (request.delivery_info or {}).get("priority")
    left = []
    with rows_instead_of_messages(Publishing.FOLLOWS), as_cannot_publish():
        for place, link in enumerate(request.callbacks or ()):
            follower = app.signature(link)
            if is_left_to_celery(task, follower):
                left.append(link)
                continue
            if not hasattr(follower, "tasks"):
                # The same one when the run is repeated.
                follower.options.setdefault("task_id", str(uuid5(NAMESPACE_OID, f"{request.id}/{place}")))
            follower.apply_async((outcome,), **inherited)
        chain = request.chain
        if chain and not is_left_to_celery(task, first := app.signature(chain[-1])):
            first.apply_async((outcome,), chain=chain[:-1], **inherited)
            chain = None

    def leave_the_rest() -> None:
        request.callbacks, request.chain = left or None, chain

    return leave_the_rest


@contextmanager
def as_cannot_publish() -> Iterator[None]:
    try:
        yield
    except AWAY as error:
        raise CannotPublishNow(str(error)) from error
    except RuntimeError as error:
        if str(error) == E_RETRY_LIMIT_EXCEEDED:
            raise CannotPublishNow("the result store does not answer") from error
        raise


def is_left_to_celery(task: Any, follower: Any) -> bool:
    return task.atomic and not all(is_of_outbox(task.app, name) for name in first_tasks(follower))


def is_of_outbox(app: Any, name: str) -> bool:
    return getattr(app.tasks.get(name), "is_of_outbox", False)


def first_tasks(canvas: Any) -> list[str]:
    """The names of those that start when the signature is published."""
    if not hasattr(canvas, "tasks"):
        return [canvas.task]
    firsts = canvas.tasks[:1] if canvas.subtask_type == "chain" else canvas.tasks
    return [name for first in firsts for name in first_tasks(first)]
