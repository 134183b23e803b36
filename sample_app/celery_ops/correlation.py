"""One id for a request and for all that comes of it: its tasks, what follows them, and every line of a log.

It goes with a message as a header, and with a row of the outbox, so a message that is sent again has it too. What no
request asked for, a periodic task say, has the id of the first of its tasks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from uuid import uuid4

from celery import signals
from django.http import HttpRequest, HttpResponseBase

HEADER = "celery_ops_correlation_id"
EVENT_FIELD = "correlation_id"
WELL_FORMED = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")

current: ContextVar[str] = ContextVar("correlation_id", default="")


class CorrelationMiddleware:
    """Takes the request's X-Request-ID, or makes one, and answers with it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get("X-Request-ID", "")
        with correlated(given if WELL_FORMED.fullmatch(given) else str(uuid4())):
            response = self.get_response(request)
            response.headers["X-Request-ID"] = current.get()
            return response


@contextmanager
def correlated(correlation_id: str) -> Iterator[None]:
    token = current.set(correlation_id)
    try:
        yield
    finally:
        current.reset(token)


def id_of(headers: Mapping[str, Any]) -> str:
    """Of a task, by its request's."""
    return str(headers.get(HEADER) or current.get() or headers.get("root_id") or headers.get("id") or "")


def with_header(options: dict[str, Any]) -> dict[str, Any]:
    """The options of `apply_async` with this context's id, for a message that is sent later."""
    if not current.get():
        return options
    return {**options, "headers": {HEADER: current.get()} | (options.get("headers") or {})}


@signals.before_task_publish.connect
def add_header(headers: dict[str, Any], **_: Any) -> None:
    if correlation_id := current.get():
        headers.setdefault(HEADER, correlation_id)


@signals.task_prerun.connect
def begin(task: Any, **_: Any) -> None:
    task.request.correlation_token = current.set(id_of(vars(task.request)))


@signals.task_postrun.connect
def end(task: Any, **_: Any) -> None:
    if token := vars(task.request).pop("correlation_token", None):
        current.reset(token)
