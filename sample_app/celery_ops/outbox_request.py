"""How a worker's main process handles the message of an OutboxTask. Only workers import this."""

from __future__ import annotations

from typing import Any

from kombu.utils.objects import cached_property

from celery_ops.task_request import TaskRequest


class OutboxRequest(TaskRequest):
    """A request whose context says which process runs it: the main process must close no other's row."""

    @cached_property
    def _context(self) -> Any:
        context = super()._context
        if self.worker_pid:
            context.outbox_runner = f"{self.hostname}/{self.worker_pid}/"
        return context
