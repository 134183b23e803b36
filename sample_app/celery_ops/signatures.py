"""Whether the tasks of this release can run what another release has queued."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterable
from typing import Any

from celery import Celery
from django.db import DatabaseError
from kombu.exceptions import OperationalError
from redis import RedisError

from celery_ops.queued import Queued, Unreadable, at_broker, in_outbox


def load_tasks(app: Celery) -> None:
    """As a worker does when it starts."""
    app.loader.import_default_modules()
    app.finalize()


def misfit(app: Celery, queued: Queued) -> str:
    """Why a worker of this release could not run it; empty when it could."""
    task = app.tasks.get(queued.task)
    if task is None:
        return "it has no such task"
    try:
        inspect.signature(task.run).bind(*queued.args, **queued.kwargs)
    except TypeError as error:
        return str(error)
    return ""


def misfits(app: Celery, queued: Iterable[Queued]) -> list[tuple[str, str, int]]:
    """Task, reason and how many."""
    found = Counter((each.task, reason) for each in queued if (reason := misfit(app, each)))
    return [(task, reason, count) for (task, reason), count in sorted(found.items())]


def parameters(app: Celery) -> dict[str, list[tuple[str, str, bool]]]:
    """Of each parameter of the project's tasks: name, kind and whether it may be left out."""
    load_tasks(app)
    return {
        name: [
            (each.name, each.kind.name, each.default is not each.empty)
            for each in inspect.signature(task.run).parameters.values()
        ]
        for name, task in sorted(app.tasks.items())
        if not name.startswith("celery.")
    }


def told(app: Celery, queues: Iterable[str]) -> dict[str, Any]:
    """For the playbooks: what of the queued tasks this release cannot run, and what was not looked at."""
    load_tasks(app)
    queued: dict[str, Queued] = {}
    answer: dict[str, Any] = {"passed_over": {}, "unread_outbox": "", "unread_broker": ""}
    try:
        queued |= in_outbox()
    except DatabaseError as error:
        answer["unread_outbox"] = str(error).strip()
    try:
        backlog = at_broker(app, queues)
    except (Unreadable, OSError, OperationalError, RedisError) as error:
        answer["unread_broker"] = str(error) or type(error).__name__
    else:
        queued |= backlog.queued
        answer["passed_over"] = dict(backlog.passed_over)
    return {**answer, "misfits": misfits(app, queued.values())}
