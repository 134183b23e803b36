"""What the shop does outside a request.

Every task takes ids, finds its object gone without failing, and may be delivered twice: the effect and the
message of the next step are committed together, and a guard in the database lets the effect happen once.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from celery import Task, shared_task
from celery.exceptions import SoftTimeLimitExceeded
from celery.signals import task_prerun
from celery.utils.log import get_task_logger
from celery.utils.time import get_exponential_backoff_interval
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, UUIDField
from django.db.models.fields.json import KT
from django.db.models.functions import Cast
from django.utils import timezone

from celery_ops.models import OutboxMessage
from celery_ops.outbox import OutboxTask
from shop import webhooks
from shop.models import LedgerEntry, Order, Report, Step, WebhookDelivery
from shop.retrying import LONGEST_WAIT, UNTIL_THE_DATABASE_IS_BACK

MOST_ATTEMPTS = 13
"""Of a webhook's delivery, over an hour: its receiver is then asked no more."""

logger = get_task_logger(__name__)


def worker_of(task: Task[Any, Any]) -> str:
    return task.request.hostname or "unknown"


@shared_task(bind=True, base=OutboxTask, **UNTIL_THE_DATABASE_IS_BACK)
@transaction.atomic
def charge_order(self: OutboxTask, order_id: int) -> None:
    if Order.objects.take(order_id, Step.CHARGE, worker_of(self)):
        ship_order.delay_on_commit(order_id)


@shared_task(bind=True, base=OutboxTask, **UNTIL_THE_DATABASE_IS_BACK)
@transaction.atomic
def ship_order(self: OutboxTask, order_id: int) -> None:
    if Order.objects.take(order_id, Step.SHIP, worker_of(self)):
        notify_order.delay_on_commit(order_id)


@shared_task(bind=True, base=OutboxTask, **UNTIL_THE_DATABASE_IS_BACK)
@transaction.atomic
def notify_order(self: OutboxTask, order_id: int) -> None:
    if order := Order.objects.take(order_id, Step.NOTIFY, worker_of(self)):
        delivery = WebhookDelivery.objects.create(order=order)
        deliver_webhook.delay_on_commit(str(delivery.pk))


@shared_task(bind=True, base=OutboxTask, **UNTIL_THE_DATABASE_IS_BACK)
def deliver_webhook(self: OutboxTask, delivery_id: str) -> None:
    """Posts once in the normal case, and at least once in any: no transaction spans two systems."""
    waiting = WebhookDelivery.objects.select_related("order").filter(state=WebhookDelivery.State.WAITING)
    delivery = waiting.filter(pk=delivery_id).first()
    if delivery is None:
        return
    if not settings.SHOP_WEBHOOK_URL:
        delivery.skip("no address")
        return
    # A receiver may be slow, there are many at once, and PostgreSQL's connections are few.
    connection.close()
    try:
        status = webhooks.post(settings.SHOP_WEBHOOK_URL, delivery)
    except webhooks.Refused as refusal:
        delivery.record_attempt(delivery.State.FAILED, refusal.status, str(refusal))
    except webhooks.TryLater as problem:
        is_last = delivery.attempts + 1 >= MOST_ATTEMPTS
        state = delivery.State.FAILED if is_last else delivery.State.WAITING
        delivery.record_attempt(state, problem.status, str(problem))
        if is_last:
            raise
        backoff = get_exponential_backoff_interval(1, self.request.retries, LONGEST_WAIT, full_jitter=True)
        raise self.retry(exc=problem, countdown=min(max(backoff, problem.after), LONGEST_WAIT)) from problem
    else:
        delivery.record_attempt(delivery.State.DELIVERED, status)


@shared_task(bind=True, base=OutboxTask, **UNTIL_THE_DATABASE_IS_BACK)
def build_report(self: OutboxTask, report_id: int) -> None:
    """Commits each slice of the report with the place to go on from, so any later run goes on there."""
    try:
        while (report := Report.objects.advance(report_id)) and report.is_moving:
            tell_progress(self, report.percent)
            time.sleep(settings.SHOP_REPORT_SECONDS / Report.SLICES)
    except SoftTimeLimitExceeded:
        Report.objects.filter(pk=report_id).exclude(state=Report.State.DONE).update(state=Report.State.STOPPED)
        raise


def tell_progress(task: OutboxTask, percent: int) -> None:
    """To those who ask Celery; the pages read it from the report, which must not end with the result store."""
    try:
        task.update_state(state="PROGRESS", meta={"percent": percent})
    except Exception as error:
        # Celery wraps the limit when it strikes in here (celery/backends/base.py, store_result).
        if SoftTimeLimitExceeded in (type(error), type(error.__cause__)):
            raise SoftTimeLimitExceeded from error
        logger.warning("The progress is not told: %s", error)


@shared_task(base=OutboxTask, **UNTIL_THE_DATABASE_IS_BACK)
def clean_up() -> dict[str, int]:
    """Deletes finished orders and reports after `SHOP_KEEP_DAYS`, a slice at a time to keep locks short."""
    old = timezone.now() - timedelta(days=settings.SHOP_KEEP_DAYS)
    open_messages = OutboxMessage.objects.filter(task=deliver_webhook.name, acknowledged_at=None)
    its_delivery = open_messages.annotate(delivery=Cast(KT("args__0"), UUIDField())).filter(
        delivery=OuterRef("delivery__pk")
    )
    orders = Order.objects.filter(~Exists(its_delivery), state=Order.State.NOTIFIED, placed_at__lt=old)
    deleted = 0
    while ids := list(orders.values_list("pk", flat=True)[:500]):
        deleted += Order.objects.filter(pk__in=ids).delete()[1].get("shop.Order", 0)
    reports = Report.objects.filter(state=Report.State.DONE, finished_at__lt=old).delete()[1]
    return {"orders": deleted, "reports": reports.get("shop.Report", 0)}


@shared_task
def noop() -> None:
    """Does nothing: its time is the time that Celery itself takes."""


@shared_task
def sleep(seconds: float) -> None:
    """Stands for work that a stop of the worker has to wait for."""
    time.sleep(seconds)


@shared_task(bind=True, base=OutboxTask, atomic=True, **UNTIL_THE_DATABASE_IS_BACK)
def record_effect(self: OutboxTask, key: str, seconds: float = 0) -> None:
    """Works for a while, then takes effect: what fault tests send and count."""
    time.sleep(seconds)
    LedgerEntry.objects.take_effect(key, worker_of(self))


@task_prerun.connect(sender=record_effect)
def count_start(args: list[Any], **_: Any) -> None:
    """Not in the task, whose transaction a kill rolls back."""
    LedgerEntry.objects.start(args[0])
