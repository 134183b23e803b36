"""How a worker's main process handles the message of a task. Only workers import this."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery.exceptions import Reject
from celery.worker.request import Request

from celery_ops import correlation, logs


class TaskRequest(Request):
    """Celery's request, whose log lines and events have the task's correlation id.

    It also tells `task_failure` of a time limit and of a rejection what was asked for, which Celery does for a lost
    process alone (celery 5.7.0, worker/request.py).
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.request_correlation_id = correlation.id_of(self._request_dict)
        logs.note_received(self.id, self.request_correlation_id)

    def send_event(self, type: str, **fields: Any) -> None:
        super().send_event(type, **fields, **{correlation.EVENT_FIELD: self.request_correlation_id})

    def on_timeout(self, soft: bool, timeout: float) -> None:
        with correlation.correlated(self.request_correlation_id), self._shown():
            super().on_timeout(soft, timeout)

    def on_failure(self, exc_info: Any, *args: Any, **options: Any) -> Any:
        with correlation.correlated(self.request_correlation_id):
            if not isinstance(exc_info.exception, Reject):
                return super().on_failure(exc_info, *args, **options)
            with self._shown():
                return super().on_failure(exc_info, *args, **options)

    @contextmanager
    def _shown(self) -> Iterator[None]:
        self.task.request_stack.push(self._context)
        try:
            yield
        finally:
            self.task.request_stack.pop()
