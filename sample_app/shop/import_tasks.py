"""The work of an import, in parts that may run side by side, twice, or not at all after a cancel."""

from __future__ import annotations

from celery import shared_task

from celery_ops.outbox import OutboxTask
from shop.models import ImportRow, ProductImport
from shop.retrying import UNTIL_THE_DATABASE_IS_BACK


@shared_task(base=OutboxTask, **UNTIL_THE_DATABASE_IS_BACK)
def import_rows(import_id: int, first_line: int, last_line: int) -> None:
    """Commits a slice at a time, and looks before each whether the import was cancelled."""
    while ImportRow.objects.take_in(import_id, first_line, last_line):
        pass
    # A chord's count may be lost with the result store, so the last part does not leave the end to it.
    ProductImport.objects.end(import_id, ProductImport.State.DONE)


@shared_task(base=OutboxTask, **UNTIL_THE_DATABASE_IS_BACK)
def finish_import(import_id: int) -> None:
    ProductImport.objects.end(import_id, ProductImport.State.DONE)
