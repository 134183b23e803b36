"""Asks the payment provider for the money of an order."""

from __future__ import annotations

from http import HTTPStatus

from shop import outside
from shop.models import Order


class Declined(Exception):
    """There is no money for it."""


def charge(url: str, order: Order) -> None:
    """Raises Declined when the customer's bank does, `outside.TryLater` when nobody knows yet, and `outside.Refused`
    when the provider does not take the question. No other database has the same key.
    """
    try:
        outside.post(url, {"order": order.pk, "amount": str(order.amount)}, key=f"{order.batch}-{order.pk}")
    except outside.Refused as refusal:
        if refusal.status == HTTPStatus.PAYMENT_REQUIRED:
            raise Declined from refusal
        raise
