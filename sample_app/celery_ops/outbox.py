from __future__ import annotations

from typing import Any

from celery.contrib.django.task import DjangoTask
from celery.utils import uuid
from django.db import transaction

from celery_ops.models import OutboxMessage


class OutboxTask(DjangoTask):
    abstract = True

    def delay_on_commit(self, *args: Any, **kwargs: Any) -> str:
        return self.apply_async_on_commit(args, kwargs)

    def apply_async_on_commit(
        self, args: Any = (), kwargs: dict[str, Any] | None = None, **options: Any
    ) -> str:
        """Write the row in the caller's transaction and send after its commit; the id of the task."""
        task_id = str(options.pop("task_id", None) or uuid())
        OutboxMessage.objects.create(id=task_id, task=self.name, args=list(args), kwargs=kwargs or {}, options=options)
        transaction.on_commit(lambda: self.apply_async(args, kwargs, task_id=task_id, **options))
        return task_id
