"""Placing orders, and how far they have come."""

from __future__ import annotations

import uuid
from collections import defaultdict
from itertools import cycle, islice
from typing import Any

from django.db import transaction
from django.db.models import Count, Q

from shop.models import Order, OrderEvent, Product, Step, WebhookDelivery
from shop.notice_tasks import publish_and_tell
from shop.tasks import charge_order

DONE = {
    "charged": Q(state__in=[Order.State.CHARGED, Order.State.SHIPPED, Order.State.NOTIFIED]),
    "shipped": Q(state__in=[Order.State.SHIPPED, Order.State.NOTIFIED]),
    "notified": Q(state=Order.State.NOTIFIED),
    "declined": Q(state=Order.State.DECLINED),
}


class NothingToSell(Exception):
    """The catalogue is empty."""


@transaction.atomic
def place_orders(count: int) -> uuid.UUID:
    """Places orders and asks for their charge, both or neither. Returns the id of the batch."""
    batch = uuid.uuid4()
    catalogue = list(Product.objects.all()[:count])
    if not catalogue:
        raise NothingToSell
    products = islice(cycle(catalogue), count)
    orders = Order.objects.bulk_create(
        Order(batch=batch, item=product.name, amount=product.price) for product in products
    )
    for order in orders:
        publish_and_tell(charge_order, order.pk)
    return batch


def newest_batch() -> uuid.UUID | None:
    return Order.objects.values_list("batch", flat=True).first()


def progress_of(batch: uuid.UUID) -> dict[str, Any] | None:
    """How far a batch is and which worker took which step; None when there is no such batch."""
    orders = Order.objects.filter(batch=batch)
    counts = orders.aggregate(total=Count("pk"), **{name: Count("pk", filter=done) for name, done in DONE.items()})
    if not counts["total"]:
        return None
    deliveries = WebhookDelivery.objects.filter(order__batch=batch).values_list("state").annotate(Count("pk"))
    by_state = dict(deliveries.order_by("state"))
    return {
        "batch": str(batch),
        **counts,
        "moving": counts["notified"] + counts["declined"] < counts["total"]
        or WebhookDelivery.State.WAITING in by_state,
        "by_worker": steps_by_worker(batch),
        "deliveries": by_state,
        "deliveries_summary": summary_of(by_state),
    }


def summary_of(deliveries: dict[str, int]) -> str:
    if not deliveries:
        return ""
    reasons = {WebhookDelivery.State.SKIPPED.value: " (no address is set)"}
    return "Webhooks: " + ", ".join(f"{count} {state}{reasons.get(state, '')}" for state, count in deliveries.items())


def steps_by_worker(batch: uuid.UUID) -> dict[str, dict[str, int]]:
    counts = OrderEvent.objects.filter(order__batch=batch).values_list("step", "worker").annotate(Count("pk"))
    by_step: dict[str, dict[str, int]] = defaultdict(dict)
    for step, worker, count in counts.order_by("worker"):
        by_step[step][worker] = count
    return {step: by_step[step] for step in Step.values if step in by_step}
