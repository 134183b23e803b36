from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from config.celery import app
from shop.models import Order, Report, WebhookDelivery
from shop.tasks import clean_up

pytestmark = pytest.mark.django_db
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
    kept = {
        make_order(29, "notified", "delivered"),
        make_order(31, "shipped", "delivered"),
        make_order(31, "notified", "waiting"),
    }
    now = timezone.now()
    Report.objects.create(state="done", finished_at=now - timedelta(days=31))
    report = Report.objects.create(state="done", finished_at=now)
    assert clean_up() == {"orders": 1, "reports": 1}
    assert set(Order.objects.all()) == kept
    assert Report.objects.get() == report
    assert clean_up() == {"orders": 0, "reports": 0}


def test_beat_starts_it_every_night() -> None:
    entry = app.conf.beat_schedule["clean-up-every-night"]
    assert entry["task"] in app.tasks
    assert (entry["schedule"].hour, entry["schedule"].minute) == ({3}, {15})
