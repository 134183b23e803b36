"""Asking for a sales report."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Count, Max

from shop.models import Order, Report
from shop.tasks import build_report


@transaction.atomic
def request_report() -> Report:
    """Starts a report, or the last one again where it stopped; while one is at work, it is the answer."""
    report = Report.objects.select_for_update().exclude(state=Report.State.DONE).first()
    if report and report.is_moving:
        return report
    if report is None:
        size = Order.objects.aggregate(total=Count("pk"), last_order=Max("pk", default=0))
        report = Report(**size)
    report.state = Report.State.WAITING
    report.save()
    build_report.delay_on_commit(report.pk)
    return report


def progress_of(report: Report) -> dict[str, Any]:
    return {
        "id": report.pk,
        "state": report.state,
        "percent": report.percent,
        "moving": report.is_moving,
        "summary": summary_of(report),
        "sales": [{"item": item, **line} for item, line in sorted(report.sales.items())],
    }


def summary_of(report: Report) -> str:
    match report.state:
        case Report.State.WAITING:
            return "Waiting for a worker"
        case Report.State.RUNNING:
            return f"Adding up the sales: {report.percent} %"
        case Report.State.STOPPED:
            return f"Stopped by its time limit at {report.percent} %. Start it again to go on from there."
    return f"Done: {report.total} orders" if report.sales else "Done: there are no orders yet"
