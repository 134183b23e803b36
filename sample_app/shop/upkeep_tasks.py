"""What beat starts to look after the shop."""

from __future__ import annotations

from celery import shared_task
from celery.utils.log import get_task_logger

from celery_ops.outbox import OutboxTask
from shop.imports import go_on
from shop.locks import only_one
from shop.models import ProductImport
from shop.recovery import deliver_some, resume_some
from shop.retrying import UNTIL_THE_DATABASE_IS_BACK

logger = get_task_logger(__name__)


@shared_task(base=OutboxTask, **UNTIL_THE_DATABASE_IS_BACK)
def resume_orders() -> int:
    """Not while its last run goes on, which may take longer than the schedule's pause."""
    with only_one("resume orders") as is_mine:
        if not is_mine:
            logger.info("The run before is still at work")
            return 0
        resumed = 0
        for resume in (resume_some, deliver_some):
            while count := resume():
                resumed += count
        for stopped in ProductImport.objects.filter(state=ProductImport.State.RUNNING):
            go_on(stopped)
        return resumed
