"""Orders and their steps, deliveries of webhooks, sales reports, and the ledger of effects."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import ClassVar

from django.core.validators import MaxValueValidator
from django.db import models, transaction
from django.db.models import Count, F, Sum
from django.utils import timezone


class Step(models.TextChoices):
    CHARGE = "charge"
    SHIP = "ship"
    NOTIFY = "notify"


class OrderQuerySet(models.QuerySet["Order"]):
    def take(self, order_id: int, step: Step, worker: str) -> Order | None:
        """Takes an order through a step, once. None when it is gone or not due for this step.

        The lock makes a second delivery of the same message wait, and the state makes it find nothing.
        """
        before, after = Order.TRANSITIONS[step]
        order = self.select_for_update().filter(pk=order_id, state=before).first()
        if order is not None:
            order.state = after
            order.save(update_fields=["state"])
            order.events.create(step=step, worker=worker)
        return order


class Order(models.Model):
    class State(models.TextChoices):
        PLACED = "placed"
        CHARGED = "charged"
        SHIPPED = "shipped"
        NOTIFIED = "notified"

    TRANSITIONS: ClassVar = {
        Step.CHARGE: (State.PLACED, State.CHARGED),
        Step.SHIP: (State.CHARGED, State.SHIPPED),
        Step.NOTIFY: (State.SHIPPED, State.NOTIFIED),
    }

    batch = models.UUIDField(db_index=True)
    item = models.CharField(max_length=80)
    amount = models.DecimalField(max_digits=8, decimal_places=2)
    state = models.CharField(max_length=8, choices=State, default=State.PLACED)
    placed_at = models.DateTimeField(default=timezone.now)

    objects = OrderQuerySet.as_manager()

    class Meta:
        ordering = ("-pk",)

    def __str__(self) -> str:
        return f"Order {self.pk}"


class OrderEvent(models.Model):
    """A step that an order took: when, and which worker took it there."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="events")
    step = models.CharField(max_length=6, choices=Step)
    worker = models.CharField(max_length=255)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("at",)
        constraints = (models.UniqueConstraint(fields=["order", "step"], name="each_step_once"),)

    def __str__(self) -> str:
        return f"{self.step} of order {self.order_id}"


class WebhookDelivery(models.Model):
    """Tells another system about an order. Its id is the key by which the receiver knows a repetition."""

    class State(models.TextChoices):
        WAITING = "waiting"
        DELIVERED = "delivered"
        SKIPPED = "skipped"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    order = models.OneToOneField(Order, on_delete=models.CASCADE, related_name="delivery")
    state = models.CharField(max_length=9, choices=State, default=State.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    response_status = models.PositiveSmallIntegerField(null=True, blank=True)
    reason = models.CharField(max_length=200, blank=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "webhook deliveries"

    def __str__(self) -> str:
        return f"Webhook of order {self.order_id}"

    def record_attempt(self, state: State, status: int | None = None, reason: str = "") -> None:
        self.state = state
        self.attempts += 1
        self.response_status = status
        self.reason = reason[:200]
        self.save(update_fields=["state", "attempts", "response_status", "reason", "changed_at"])

    def skip(self, reason: str) -> None:
        self.state = self.State.SKIPPED
        self.reason = reason
        self.save(update_fields=["state", "reason", "changed_at"])


class ReportQuerySet(models.QuerySet["Report"]):
    @transaction.atomic
    def advance(self, report_id: int) -> Report | None:
        """Adds the next orders to a report. None when it is gone or was finished before."""
        report = self.select_for_update().exclude(state=Report.State.DONE).filter(pk=report_id).first()
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

    SLICES = 25

    state = models.CharField(max_length=7, choices=State, default=State.WAITING)
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
        return f"Sales report {self.pk}"

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


class LedgerQuerySet(models.QuerySet["LedgerEntry"]):
    def start(self, key: str) -> None:
        self.of(key).update(starts=F("starts") + 1)

    def take_effect(self, key: str, worker: str) -> None:
        """Counts, and prevents nothing: that a task takes effect once is what the ledger proves of the outbox."""
        self.of(key).update(effects=F("effects") + 1, worker=worker, at=timezone.now())

    def of(self, key: str) -> LedgerQuerySet:
        """The entry, made by whoever comes first: a start that the database does not answer is not noted."""
        entry, _ = self.get_or_create(key=key)
        return self.filter(pk=entry.pk)


class LedgerEntry(models.Model):
    """How often a task that was sent took effect: what fault tests read. `starts` counts every delivery."""

    key = models.CharField(max_length=100, unique=True)
    starts = models.PositiveIntegerField(default=0)
    effects = models.PositiveIntegerField(default=0)
    worker = models.CharField(max_length=255, blank=True)
    at = models.DateTimeField(null=True, blank=True)

    objects = LedgerQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "ledger entries"

    def __str__(self) -> str:
        return self.key
