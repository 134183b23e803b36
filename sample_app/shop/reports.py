"""Asking for a sales report, and how far it is."""

from __future__ import annotations

from typing import Any

from celery import chain
from django.db import transaction
from django.db.models import Count, Max, QuerySet
from django.urls import reverse
from django.utils import timezone

from celery_ops.followers import canvas_on_commit
from celery_ops.models import OutboxMessage
from shop.cancelling import revoke_on_commit
from shop.models import Order, Report, ReportFile
from shop.tasks import build_report, write_report_file


@transaction.atomic
def request_report(title: str = "Sales report") -> Report:
    """Starts a report, or the last one again where it stopped; while one is at work, it is the answer."""
    report = Report.objects.select_for_update().filter(state__in=Report.UNFINISHED).first()
    if report and is_at_work(report):
        return report
    if report is None:
        size = Order.objects.aggregate(total=Count("pk"), last_order=Max("pk", default=0))
        report = Report(title=title, **size)
    report.state = Report.State.WAITING
    report.save()
    canvas_on_commit(chain(build_report.si(report.pk), write_report_file.si(report.pk)))
    return report


@transaction.atomic
def cancel(report: Report) -> None:
    unfinished = Report.objects.filter(pk=report.pk, state__in=Report.UNFINISHED)
    if unfinished.update(state=Report.State.CANCELLED, finished_at=timezone.now()):
        revoke_on_commit(open_messages(report))


def open_messages(report: Report) -> QuerySet[OutboxMessage]:
    names = [build_report.name, write_report_file.name]
    return OutboxMessage.objects.filter(task__in=names, args=[report.pk], acknowledged_at=None)


def is_at_work(report: Report) -> bool:
    """By its message: a task that was killed or hit its hard limit left no word in the report."""
    return report.state != Report.State.CANCELLED and open_messages(report).exists()


def progress_of(report: Report) -> dict[str, Any]:
    moving = is_at_work(report)
    if report.is_moving and not moving:
        # It may have got done since it was read.
        report.refresh_from_db()
    state = report.State.STOPPED if report.is_moving and not moving else report.State(report.state)
    has_file = ReportFile.objects.filter(report=report).exists()
    return {
        "id": report.pk,
        "state": state.value,
        "percent": report.percent,
        "moving": moving,
        "summary": summary_of(report, state),
        "sales": [{"item": item, **line} for item, line in sorted(report.sales.items())],
        "file": reverse("report-pdf", args=[report.pk]) if has_file else "",
    }


def summary_of(report: Report, state: Report.State) -> str:
    match state:
        case Report.State.WAITING:
            return "Waiting for a worker"
        case Report.State.RUNNING:
            return f"Adding up the sales: {report.percent} %"
        case Report.State.STOPPED:
            return f"Stopped at {report.percent} %. Start it again to go on from there."
        case Report.State.CANCELLED:
            return f"Cancelled at {report.percent} %"
    return f"Done: {report.total} orders" if report.sales else "Done: there are no orders yet"
