"""A report that a schedule starts."""

from __future__ import annotations

from celery import shared_task
from pydantic import BaseModel, ConfigDict, Field

from celery_ops.outbox import OutboxTask
from shop import reports
from shop.retrying import UNTIL_THE_DATABASE_IS_BACK


class WantedReport(BaseModel):
    """What a person typed into the schedule in the admin. Anything else fails the task, which says what is wrong."""

    model_config = ConfigDict(extra="forbid")

    title: str = Field(min_length=1, max_length=80)


@shared_task(base=OutboxTask, atomic=True, pydantic=True, **UNTIL_THE_DATABASE_IS_BACK)
def start_report(wanted: WantedReport) -> None:
    reports.request_report(wanted.title)
