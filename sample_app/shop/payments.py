"""Asks the payment provider for the money of an order."""

from __future__ import annotations

from shop import outside
from shop.models import Order


def charge(url: str, order: Order) -> None:
    """Raises `outside.Refused` when the customer's bank declines, `outside.TryLater` when nobody knows yet."""
    outside.post(url, {"order": order.pk, "amount": str(order.amount)}, key=f"order-{order.pk}")
