"""Orders and their steps."""

from __future__ import annotations

from typing import ClassVar

from django.db import models, transaction
from django.utils import timezone

from shop.models.notices import Notice


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

    @transaction.atomic
    def decline(self, order_id: int) -> None:
        if self.filter(pk=order_id, state=Order.State.PLACED).update(state=Order.State.DECLINED):
            Notice.objects.tell(f"order-{order_id}-declined", f"The payment of order {order_id} was declined.")


class Order(models.Model):
    class State(models.TextChoices):
        PLACED = "placed"
        CHARGED = "charged"
        SHIPPED = "shipped"
        NOTIFIED = "notified"
        DECLINED = "declined"

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
    resumed_at = models.DateTimeField(null=True, blank=True, help_text="When it was last found to stand still.")

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
