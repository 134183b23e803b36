"""How a worker's main process handles the message of an OutboxTask. Only workers import this."""

from __future__ import annotations

from typing import Any

from celery.worker.request import Request
from kombu.utils.objects import cached_property


class OutboxRequest(Request):
    """Celery's request, whose context says which process runs it: the main process must close no other's row."""

    @cached_property
    def _context(self) -> Any:
        context = super()._context
        if self.worker_pid:
            context.outbox_runner = f"{self.hostname}/{self.worker_pid}/"
        return context

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """With the context for `task_failure`, as Celery itself has it there for a lost process."""
        self.task.request_stack.push(self._context)
        try:
            super().on_timeout(soft, timeout)
        finally:
            self.task.request_stack.pop()
