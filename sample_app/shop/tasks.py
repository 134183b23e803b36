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
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, UUIDField
from django.db.models.fields.json import KT
from django.db.models.functions import Cast
from django.utils import timezone

from celery_ops.models import OutboxMessage
from celery_ops.outbox import OutboxTask
from shop import payments, webhooks
from shop.models import LedgerEntry, Notice, Order, ProductImport, Report, ReportFile, Step, WebhookDelivery
from shop.notice_tasks import publish_and_tell
from shop.outside import Refused, TryLater
from shop.report_pdf import pdf_of
from shop.retrying import MOST_ATTEMPTS, UNTIL_THE_DATABASE_IS_BACK, seconds_before_retry

logger = get_task_logger(__name__)


def worker_of(task: Task[Any, Any]) -> str:
    return task.request.hostname or "unknown"


@shared_task(bind=True, base=OutboxTask, **UNTIL_THE_DATABASE_IS_BACK)
def charge_order(self: OutboxTask, order_id: int) -> None:
    """Asks the payment provider, if there is one, and then writes: no lock waits for another system."""
    if settings.SHOP_PAYMENT_URL and not pay(self, order_id):
        return
    with transaction.atomic():
        if Order.objects.take(order_id, Step.CHARGE, worker_of(self)):
            ship_order.delay_on_commit(order_id)


def pay(task: OutboxTask, order_id: int) -> bool:
    """A run that is killed before it writes is repeated, and the provider knows the payment by its key."""
    order = Order.objects.filter(pk=order_id, state=Order.State.PLACED).first()
    if order is None:
        return False
    connection.close()
    try:
        payments.charge(settings.SHOP_PAYMENT_URL, order)
    except payments.Declined:
        Order.objects.decline(order_id)
        return False
    except TryLater as problem:
        if task.request.retries + 1 >= MOST_ATTEMPTS:
            raise
        pause = seconds_before_retry(task.request.retries, problem)
        raise task.retry(exc=problem, countdown=pause) from problem
    return True


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
        publish_and_tell(deliver_webhook, str(delivery.pk))


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
    except Refused as refusal:
        with transaction.atomic():
            delivery.record_attempt(delivery.State.FAILED, refusal.status, str(refusal))
            Notice.objects.tell(f"webhook-{delivery.pk}", f"The webhook of order {delivery.order_id} was {refusal}.")
    except TryLater as problem:
        is_last = delivery.attempts + 1 >= MOST_ATTEMPTS
        state = delivery.State.FAILED if is_last else delivery.State.WAITING
        delivery.record_attempt(state, problem.status, str(problem))
        if is_last:
            raise
        pause = seconds_before_retry(self.request.retries, problem)
        raise self.retry(exc=problem, countdown=pause) from problem
    else:
        delivery.record_attempt(delivery.State.DELIVERED, status)


@shared_task(bind=True, base=OutboxTask, **UNTIL_THE_DATABASE_IS_BACK)
def build_report(self: OutboxTask, report_id: int) -> None:
    """Commits each slice of the report with the place to go on from, so any later run goes on there.

    A cancelled report has no next slice.
    """
    try:
        while (report := Report.objects.advance(report_id)) and report.is_moving:
            tell_progress(self, report.percent)
            time.sleep(settings.SHOP_REPORT_SECONDS / Report.SLICES)
    except SoftTimeLimitExceeded:
        Report.objects.filter(pk=report_id, state__in=Report.UNFINISHED).update(state=Report.State.STOPPED)
        raise


@shared_task(base=OutboxTask, **UNTIL_THE_DATABASE_IS_BACK)
def write_report_file(report_id: int) -> None:
    """Writes the whole file or, when a time limit strikes, nothing of it."""
    finished = Report.objects.filter(pk=report_id, state=Report.State.DONE)
    if report := finished.first():
        content = pdf_of(report)
        with transaction.atomic():
            if finished.select_for_update().exists():
                ReportFile.objects.update_or_create(report_id=report_id, defaults={"content": content})


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
    """Deletes what is finished after `SHOP_KEEP_DAYS`, a slice at a time to keep locks short."""
    old = timezone.now() - timedelta(days=settings.SHOP_KEEP_DAYS)
    open_messages = OutboxMessage.objects.filter(task=deliver_webhook.name, acknowledged_at=None)
    its_delivery = open_messages.annotate(delivery=Cast(KT("args__0"), UUIDField())).filter(
        delivery=OuterRef("delivery__pk")
    )
    ended = (Order.State.NOTIFIED, Order.State.DECLINED)
    orders = Order.objects.filter(~Exists(its_delivery), state__in=ended, placed_at__lt=old)
    deleted = 0
    while ids := list(orders.values_list("pk", flat=True)[:500]):
        deleted += Order.objects.filter(pk__in=ids).delete()[1].get("shop.Order", 0)
    others = {
        "reports": Report.objects.filter(finished_at__lt=old),
        "imports": ProductImport.objects.filter(ended_at__lt=old),
        "notices": Notice.objects.filter(at__lt=old),
    }
    counts = {name: rows.delete()[1].get(rows.model._meta.label, 0) for name, rows in others.items()}
    return {"orders": deleted, **counts}


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
