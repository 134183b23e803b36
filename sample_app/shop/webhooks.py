"""Tells another system about an order."""

from __future__ import annotations

from shop import outside
from shop.models import WebhookDelivery


def post(url: str, delivery: WebhookDelivery) -> int:
    """Returns the status with which the receiver took the message."""
    order = delivery.order
    message = {"event": "order.shipped", "order": order.pk, "item": order.item, "amount": str(order.amount)}
    return outside.post(url, message, key=str(delivery.pk))
