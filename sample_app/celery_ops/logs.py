"""Django's LOGGING by the environment: readable lines or JSON, each with task and correlation id."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any

from celery import signals
from celery._state import get_current_task
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from celery_ops import correlation, environment

FORMATS = ("line", "json")
FIELDS = "levelname name processName process message task_name task_id correlation_id"
# The first is Celery's own and has the task's arguments; the other is the three fields at the end of FIELDS.
UNTOLD = ("data", "origin")

LINE = {"format": "%(levelname)s %(processName)s %(name)s%(origin)s: %(message)s"}
JSON = {"()": "celery_ops.json_log.formatter"}
received: tuple[str, str] = ("", "")


def logging_settings() -> dict[str, Any]:
    """Of LOG_FORMAT, and of LOG_FILE, which takes the place of standard output."""
    kind = environment.text("LOG_FORMAT", "line")
    if kind not in FORMATS:
        raise ImproperlyConfigured(f"LOG_FORMAT: {kind!r} is neither line nor json; set one of them")
    if kind == "json" and find_spec("pythonjsonlogger") is None:
        raise ImproperlyConfigured(
            "LOG_FORMAT: json needs the package python-json-logger; add it to requirements.txt, or set line"
        )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"task": {"()": f"{__name__}.TaskFilter"}},
        "formatters": {"line": LINE} if kind == "line" else {"json": JSON},
        "handlers": {"output": {**output(), "filters": ["task"], "formatter": kind}},
        "root": {"handlers": ["output"], "level": "INFO"},
    }


def output() -> dict[str, Any]:
    """Several processes write the file, so none of them rotates it: each opens it anew once it was renamed."""
    path = environment.text("LOG_FILE")
    if not path:
        return {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}
    try:
        with Path(path).open("a"):
            pass
    except OSError as error:
        raise ImproperlyConfigured(
            f"LOG_FILE: {path} cannot be written ({error.strerror}); name a file that this process may write"
        ) from None
    return {"()": f"{__name__}.SharedFile", "filename": path, "encoding": "utf-8"}


class SharedFile(WatchedFileHandler):
    """One that cannot be opened anew costs its lines, and fails no task: Python leaves that error to who logs."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError:
            self.handleError(record)


@signals.after_setup_task_logger.connect
def leave_tasks_to_django(logger: logging.Logger, **_: Any) -> None:
    """Celery gives the loggers of tasks a handler of their own, beside LOGGING."""
    if settings.LOGGING:
        logger.handlers.clear()
        logger.propagate = True


def note_received(task_id: str, correlation_id: str) -> None:
    """For Celery's line that says so."""
    global received
    received = (task_id, correlation_id)


class TaskFilter(logging.Filter):
    """Gives a record `task_name`, `task_id` and `correlation_id`, each empty where there is none."""

    def filter(self, record: logging.LogRecord) -> bool:
        told = context_of(record)
        vars(record).update(told, origin=origin(**told))
        return True


def context_of(record: logging.LogRecord) -> dict[str, str]:
    task = get_current_task()
    data = getattr(record, "data", None)
    if task is not None and task.request:
        name, task_id = task.name, task.request.id or ""
    else:
        # Of the main process Celery's own lines tell which task they are about.
        name, task_id = (data.get("name", ""), data.get("id", "")) if isinstance(data, dict) else ("", "")
    correlation_id = correlation.current.get() or (received[1] if received[0] == task_id else "")
    return {"task_name": name, "task_id": task_id, "correlation_id": correlation_id}


def origin(task_name: str, task_id: str, correlation_id: str) -> str:
    return (f" {task_name}[{task_id}]" if task_id else "") + (f" {correlation_id}" if correlation_id else "")
