"""Tasks of the tests. Workers get them by `--include`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from celery import shared_task
from celery.exceptions import Reject
from django.contrib.auth.models import Group

from celery_ops.outbox import OutboxTask
from tests.gate import Gate


@shared_task
def wait_at_gate(path: str) -> None:
    Gate(Path(path)).wait()


@shared_task(bind=True, base=OutboxTask, default_retry_delay=0)
def effect(self: OutboxTask, path: str, text: str = "") -> str:
    gate = Gate(Path(path))
    gate.wait(text or str(self.request.retries))
    gate.take_effect(text)
    return text


@shared_task(bind=True, base=OutboxTask, atomic=True)
def effect_in_database(self: OutboxTask, path: str) -> None:
    Group.objects.create(name=f"{self.request.id} {time.time_ns()}")
    Gate(Path(path)).wait()


@shared_task(bind=True, base=OutboxTask, max_retries=2)
def always_retry(self: OutboxTask, path: str) -> None:
    Gate(Path(path)).take_effect(str(self.request.retries))
    raise self.retry(exc=ValueError("not yet"), countdown=0)


@shared_task(base=OutboxTask)
def rejected() -> None:
    raise Reject("never", requeue=False)


@shared_task(base=OutboxTask)
def typed(path: str, **values: Any) -> None:
    Gate(Path(path)).take_effect(" ".join(f"{name}={type(value).__name__}" for name, value in values.items()))
