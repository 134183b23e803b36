from __future__ import annotations

from decimal import Decimal

from django.core.validators import MaxValueValidator
from django.db import models, transaction
from django.db.models import Count, Sum
from django.utils import timezone

from shop.models.orders import Order


class ReportQuerySet(models.QuerySet["Report"]):
    @transaction.atomic
    def advance(self, report_id: int) -> Report | None:
        """Adds the next orders to a report. None when it is gone, cancelled or was finished before."""
        report = self.select_for_update().filter(pk=report_id, state__in=Report.UNFINISHED).first()
        if report is not None:
            report.add_next_orders()
            report.save()
        return report


class Report(models.Model):
    """Sales by item of all orders up to `last_order`; those up to `read_up_to` are in it already."""

    class State(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        STOPPED = "stopped"
        DONE = "done"
        CANCELLED = "cancelled"

    SLICES = 25
    UNFINISHED = (State.WAITING, State.RUNNING, State.STOPPED)

    title = models.CharField(max_length=80, default="Sales report", db_default="Sales report")
    state = models.CharField(max_length=9, choices=State, default=State.WAITING)
    requested_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    total = models.PositiveIntegerField(default=0)
    last_order = models.BigIntegerField(default=0)
    read_up_to = models.BigIntegerField(default=0)
    percent = models.PositiveSmallIntegerField(default=0, validators=[MaxValueValidator(100)])
    sales = models.JSONField(default=dict, blank=True)

    objects = ReportQuerySet.as_manager()

    class Meta:
        ordering = ("-pk",)

    def __str__(self) -> str:
        return f"{self.title} {self.pk}"

    @property
    def is_moving(self) -> bool:
        return self.state in (self.State.WAITING, self.State.RUNNING)

    def add_next_orders(self) -> None:
        unread = Order.objects.filter(pk__gt=self.read_up_to, pk__lte=self.last_order).order_by("pk")
        ids = list(unread.values_list("pk", flat=True)[: self.total // self.SLICES + 1])
        if not ids:
            self.state, self.percent, self.finished_at = self.State.DONE, 100, timezone.now()
            return
        by_item = unread.filter(pk__lte=ids[-1]).order_by("item").values_list("item")
        for item, orders, revenue in by_item.annotate(Count("pk"), Sum("amount")):
            so_far = self.sales.get(item, {"orders": 0, "revenue": "0"})
            self.sales[item] = {
                "orders": so_far["orders"] + orders,
                "revenue": str(Decimal(so_far["revenue"]) + revenue),
            }
        read = sum(line["orders"] for line in self.sales.values())
        self.state, self.read_up_to, self.percent = self.State.RUNNING, ids[-1], min(99, 100 * read // self.total)


class ReportFile(models.Model):
    """A finished report as PDF. In the database, as web and worker may be on different hosts."""

    report = models.OneToOneField(Report, on_delete=models.CASCADE, related_name="file")
    content = models.BinaryField()

    def __str__(self) -> str:
        return f"{self.report_id}.pdf"
