from __future__ import annotations

import uuid

from django.db import models

from shop.models.orders import Order


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
