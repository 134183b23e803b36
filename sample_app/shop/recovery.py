"""Sends orders on that stand still: the database, not a message, is what an order waits for."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet, TextField
from django.db.models.fields.json import KT
from django.db.models.functions import Cast
from django.utils import timezone

from celery_ops.models import OutboxMessage
from celery_ops.outbox import OutboxTask
from shop.models import Order, OrderEvent, WebhookDelivery
from shop.notice_tasks import publish_and_tell
from shop.tasks import charge_order, deliver_webhook, notify_order, ship_order

STANDS_STILL = timedelta(minutes=15)
MOST_AT_ONCE = 500
NEXT: dict[str, Any] = {
    Order.State.PLACED: charge_order,
    Order.State.CHARGED: ship_order,
    Order.State.SHIPPED: notify_order,
}


def standing_still(now: datetime) -> QuerySet[Order]:
    """Orders that took no step for long, for which no message is open and which no sweep sent on meanwhile."""
    before = now - STANDS_STILL
    steps = OrderEvent.objects.filter(order=OuterRef("pk"), at__gte=before)
    long_ago = Q(resumed_at=None) | Q(resumed_at__lt=before)
    old = Order.objects.filter(long_ago, state__in=NEXT, placed_at__lt=before)
    return old.exclude(Exists(steps)).exclude(has_message(*NEXT.values()))


def has_message(*tasks: OutboxTask) -> Exists:
    """Whether one of these tasks is open for the row."""
    messages = OutboxMessage.objects.annotate(first=KT("args__0")).filter(
        task__in=[task.name for task in tasks], acknowledged_at=None, first=Cast(OuterRef("pk"), TextField())
    )
    return Exists(messages)


@transaction.atomic
def resume_some() -> int:
    """The lock keeps another sweep from the same orders, and after it the flag does."""
    now = timezone.now()
    orders = list(standing_still(now).select_for_update(skip_locked=True, of=("self",))[:MOST_AT_ONCE])
    Order.objects.filter(pk__in=[order.pk for order in orders]).update(resumed_at=now)
    for order in orders:
        publish_and_tell(NEXT[order.state], order.pk)
    return len(orders)


@transaction.atomic
def deliver_some() -> int:
    """The same for webhooks, whose last change is the flag."""
    now = timezone.now()
    waiting = WebhookDelivery.objects.filter(state=WebhookDelivery.State.WAITING, changed_at__lt=now - STANDS_STILL)
    still = waiting.exclude(has_message(deliver_webhook)).select_for_update(skip_locked=True, of=("self",))
    deliveries = list(still.values_list("pk", flat=True)[:MOST_AT_ONCE])
    WebhookDelivery.objects.filter(pk__in=deliveries).update(changed_at=now)
    for delivery in deliveries:
        publish_and_tell(deliver_webhook, str(delivery))
    return len(deliveries)
