"""Asking for a sales report."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Count, Max

from celery_ops.models import OutboxMessage
from shop.models import Order, Report
from shop.tasks import build_report


@transaction.atomic
def request_report() -> Report:
    """Starts a report, or the last one again where it stopped; while one is at work, it is the answer."""
    report = Report.objects.select_for_update().exclude(state=Report.State.DONE).first()
    if report and is_at_work(report):
        return report
    if report is None:
        size = Order.objects.aggregate(total=Count("pk"), last_order=Max("pk", default=0))
        report = Report(**size)
    report.state = Report.State.WAITING
    report.save()
    build_report.delay_on_commit(report.pk)
    return report


def is_at_work(report: Report) -> bool:
    """By its message: a task that was killed or hit its hard limit left no word in the report."""
    messages = OutboxMessage.objects.filter(task=build_report.name, args=[report.pk], acknowledged_at=None)
    return report.is_moving and messages.exists()


def progress_of(report: Report) -> dict[str, Any]:
    moving = is_at_work(report)
    if report.is_moving and not moving:
        # It may have got done since it was read.
        report.refresh_from_db()
    state = report.State.STOPPED if report.is_moving and not moving else report.State(report.state)
    return {
        "id": report.pk,
        "state": state.value,
        "percent": report.percent,
        "moving": moving,
        "summary": summary_of(report, state),
        "sales": [{"item": item, **line} for item, line in sorted(report.sales.items())],
    }


def summary_of(report: Report, state: Report.State) -> str:
    match state:
        case Report.State.WAITING:
            return "Waiting for a worker"
        case Report.State.RUNNING:
            return f"Adding up the sales: {report.percent} %"
        case Report.State.STOPPED:
            return f"Stopped at {report.percent} %. Start it again to go on from there."
    return f"Done: {report.total} orders" if report.sales else "Done: there are no orders yet"
