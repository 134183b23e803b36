from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from celery_ops.outbox import OutboxTask
from config.celery import app
from shop.models import Notice, Order, OrderQuerySet, ProductImport, Report, WebhookDelivery
from shop.tasks import clean_up, deliver_webhook

pytestmark = pytest.mark.django_db
NOTHING = {"orders": 0, "reports": 0, "imports": 0, "notices": 0}
BATCH = "00000000-0000-4000-8000-000000000000"


def make_order(days: int, state: str, delivery: str) -> Order:
    placed_at = timezone.now() - timedelta(days=days)
    order = Order.objects.create(batch=BATCH, item="Sencha", amount=1, state=state, placed_at=placed_at)
    order.events.create(step="charge", worker="high@a")
    WebhookDelivery.objects.create(order=order, state=delivery)
    return order


def test_only_what_is_old_and_finished_goes(settings: Settings) -> None:
    settings.SHOP_KEEP_DAYS = 30
    make_order(31, "notified", "delivered")
    make_order(31, "notified", "waiting")
    make_order(31, "declined", "skipped")
    kept = {
        make_order(29, "notified", "delivered"),
        make_order(31, "shipped", "delivered"),
        waiting := make_order(31, "notified", "waiting"),
    }
    deliver_webhook.delay_on_commit(str(waiting.delivery.pk))
    now = timezone.now()
    Report.objects.create(state="done", finished_at=now - timedelta(days=31))
    for days in (29, 31):
        ended_at = now - timedelta(days=days)
        ProductImport.objects.create(state="done", file_name="teas.csv", ended_at=ended_at).rows.create(line=2)
        Notice.objects.create(key=str(days), at=ended_at)
    ProductImport.objects.create(file_name="teas.csv", started_at=now - timedelta(days=31))
    report = Report.objects.create(state="done", finished_at=now)
    assert clean_up() == {"orders": 3, "reports": 1, "imports": 1, "notices": 1}
    assert set(Order.objects.all()) == kept
    assert Report.objects.get() == report
    assert clean_up() == NOTHING


def test_a_second_run_beside_it_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    delete = OrderQuerySet.delete

    def after_another(orders: OrderQuerySet) -> tuple[int, dict[str, int]]:
        delete(orders)
        return delete(orders)

    make_order(10_000, "notified", "delivered")
    monkeypatch.setattr(OrderQuerySet, "delete", after_another)
    assert clean_up() == NOTHING


def test_beat_starts_it_every_night() -> None:
    entry = app.conf.beat_schedule["clean-up-every-night"]
    assert isinstance(app.tasks[entry["task"]], OutboxTask)
    assert (entry["schedule"].hour, entry["schedule"].minute) == ({3}, {15})
