from __future__ import annotations

from celery import shared_task

from celery_ops.replay import send_again
from celery_ops.sweep import sweep as sweep_outbox

__all__ = ["send_again", "sweep"]


@shared_task(name="celery_ops.outbox.sweep", ignore_result=True)
def sweep() -> None:
    sweep_outbox()
