from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from celery_ops.models import OutboxMessage
from shop import prices
from shop.models import Notice, PriceChange, Product
from shop.price_tasks import change_price
from tests.brokers import ON_BOTH_BROKERS
from tests.conftest import worker_arguments
from tests.outbox import until_ended
from tests.processes import Process
from tests.waiting import until


@pytest.fixture
def tea(db: None) -> Product:
    return Product.objects.create(name="Tea", price=1)


def price_of(tea: Product) -> Decimal:
    tea.refresh_from_db()
    return tea.price


@ON_BOTH_BROKERS
def test_a_change_is_applied_when_it_is_due_and_told(worker: Process, tea: Product) -> None:
    due_at = timezone.now() + timedelta(seconds=2)
    change = PriceChange(product=tea, price=2, due_at=due_at)
    prices.plan(change)
    until(lambda: price_of(tea) == 2, why="the price is changed")
    change.refresh_from_db()
    assert change.applied_at is not None
    assert change.applied_at >= due_at
    until(Notice.objects.exists, why="the operator is told")
    assert Notice.objects.get().text == "Tea costs € 2.00 now."


@pytest.mark.django_db
def test_a_change_without_a_time_leaves_time_for_second_thoughts(tea: Product) -> None:
    prices.plan(PriceChange(product=tea, price=2))
    message = OutboxMessage.objects.get()
    assert message.sent_at is not None
    assert message.sent_at > timezone.now() + timedelta(seconds=prices.SECOND_THOUGHTS / 2)


def test_a_change_that_was_taken_back_changes_nothing(workers: dict[str, Process], tea: Product) -> None:
    change_id = PriceChange.objects.create(product=tea, price=2).pk
    PriceChange.objects.all().delete()
    until_ended(change_price.delay_on_commit(change_id), state="IGNORED")
    assert price_of(tea) == 1


def test_a_message_twice_changes_a_price_once(workers: dict[str, Process], tea: Product) -> None:
    change = PriceChange.objects.create(product=tea, price=2)
    until_ended(change_price.delay_on_commit(change.pk))
    Product.objects.filter(pk=tea.pk).update(price=3)
    until_ended(change_price.delay_on_commit(change.pk), state="IGNORED")
    assert price_of(tea) == 3


@pytest.mark.django_db
def test_a_change_of_next_week_waits_in_the_schedule_of_the_database(tea: Product) -> None:
    due_at = timezone.now() + timedelta(days=7)
    change = PriceChange(product=tea, price=2, due_at=due_at)
    prices.plan(change)
    assert not OutboxMessage.objects.exists()
    entry = PeriodicTask.objects.get(name=f"price change {change.pk}")
    assert (entry.task, json.loads(entry.args), entry.one_off) == (change_price.name, [change.pk], True)
    assert entry.clocked is not None
    assert entry.clocked.clocked_time == due_at


def test_beat_sends_a_change_whose_day_has_come(
    start_celery: Callable[..., Process], tea: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prices, "LONGEST_WAIT", 0)
    prices.plan(PriceChange(product=tea, price=2, due_at=timezone.now() + timedelta(seconds=3)))
    assert PeriodicTask.objects.exists()
    start_celery("worker", *worker_arguments()).until_consuming()
    start_celery("beat", "beat", "--loglevel=INFO").until_beating()
    until(lambda: price_of(tea) == 2, seconds=60, why="beat sends it")


@pytest.mark.django_db
def test_the_admin_plans_a_change_and_lets_nobody_alter_it(admin_client: Client, tea: Product) -> None:
    fields = {"product": tea.pk, "price": "2", "due_at_0": "", "due_at_1": ""}
    assert admin_client.post("/admin/shop/pricechange/add/", fields, secure=True).status_code == 302
    change = PriceChange.objects.get()
    assert OutboxMessage.objects.get().args == [change.pk]
    page = admin_client.post(f"/admin/shop/pricechange/{change.pk}/change/", fields, secure=True)
    assert page.status_code == 403
