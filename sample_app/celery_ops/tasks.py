from __future__ import annotations

from celery import shared_task

from celery_ops import outbox

SWEEP = "celery_ops.outbox.sweep"


@shared_task(name=SWEEP, ignore_result=True)
def sweep() -> None:
    outbox.sweep()
