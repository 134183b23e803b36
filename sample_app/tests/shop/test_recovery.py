from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from celery_ops.models import OutboxMessage
from celery_ops.outbox import OutboxTask
from config.celery import app
from shop.locks import only_one
from shop.models import Order, WebhookDelivery
from shop.recovery import STANDS_STILL, deliver_some, resume_some
from shop.tasks import charge_order
from shop.upkeep_tasks import resume_orders
from tests.outbox import until_ended
from tests.processes import Process
from tests.shop.receiver import Receiver
from tests.waiting import until

BATCH = "00000000-0000-4000-8000-000000000000"
LONG_AGO = timezone.now() - 2 * STANDS_STILL


def standing(state: str = "placed") -> Order:
    return Order.objects.create(batch=BATCH, item="Sencha", amount=1, state=state, placed_at=LONG_AGO)


def sent() -> set[tuple[str, int]]:
    return {(message.task.rpartition(".")[2], message.args[0]) for message in OutboxMessage.objects.all()}


@pytest.mark.parametrize("state", ["placed", "charged", "shipped"])
def test_an_order_that_lost_its_message_gets_through(
    workers: dict[str, Process], receiver: Receiver, state: str
) -> None:
    order = standing(state)
    until_ended(resume_orders.delay_on_commit())

    def notified() -> bool:
        order.refresh_from_db()
        return order.state == Order.State.NOTIFIED

    until(notified, why="the order gets through")
    assert order.resumed_at


def test_a_webhook_that_lost_its_message_is_delivered(workers: dict[str, Process], receiver: Receiver) -> None:
    delivery = WebhookDelivery.objects.create(order=standing("notified"))
    WebhookDelivery.objects.filter(pk=delivery.pk).update(changed_at=LONG_AGO)
    assert deliver_some() == 1
    assert deliver_some() == 0

    def delivered() -> bool:
        delivery.refresh_from_db()
        return delivery.state == WebhookDelivery.State.DELIVERED

    until(delivered, why="the webhook is delivered")


@pytest.mark.django_db
def test_only_what_stands_still_without_a_message_is_sent_on() -> None:
    lost = standing()
    lost_later = standing("charged")
    lost_later.events.create(step="charge", worker="high@a", at=LONG_AGO)
    standing("notified")
    standing("declined")
    moved = standing("charged")
    moved.events.create(step="charge", worker="high@a")
    Order.objects.create(batch=BATCH, item="Sencha", amount=1)
    charge_order.delay_on_commit(standing().pk)
    before = sent()
    assert resume_some() == 2
    assert sent() - before == {("charge_order", lost.pk), ("ship_order", lost_later.pk)}


@pytest.mark.django_db
def test_what_was_sent_on_and_failed_is_sent_on_again_after_a_while() -> None:
    order = standing()
    assert (resume_some(), resume_some()) == (1, 0), "its message is open"
    OutboxMessage.objects.update(acknowledged_at=timezone.now(), state="FAILURE")
    assert resume_some() == 0, "its flag is new"
    Order.objects.filter(pk=order.pk).update(resumed_at=LONG_AGO)
    assert resume_some() == 1


def in_thread() -> int:
    try:
        return resume_some()
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_two_sweeps_at_once_send_once() -> None:
    standing()
    with ThreadPoolExecutor() as threads, transaction.atomic():
        assert resume_some() == 1
        assert threads.submit(in_thread).result() == 0
    assert len(sent()) == 1


@pytest.mark.django_db(transaction=True)
def test_a_run_that_goes_on_is_not_joined_by_another() -> None:
    standing()

    def resume() -> int:
        try:
            return int(resume_orders())
        finally:
            connection.close()

    with ThreadPoolExecutor() as threads:
        with only_one("resume orders") as is_mine:
            assert is_mine
            assert threads.submit(resume).result() == 0
        assert threads.submit(resume).result() == 1


@pytest.mark.django_db(transaction=True)
def test_a_lock_ends_with_the_connection_of_its_holder() -> None:
    def die_inside() -> None:
        with only_one("a name"):
            connection.close()

    with ThreadPoolExecutor() as threads:
        threads.submit(die_inside).result()
    with only_one("a name") as is_mine:
        assert is_mine


def test_beat_starts_it_every_15_minutes_and_drops_what_comes_too_late() -> None:
    entry = app.conf.beat_schedule["resume-orders"]
    assert isinstance(app.tasks[entry["task"]], OutboxTask)
    assert entry["schedule"] == timedelta(minutes=15)
    assert entry["options"]["expires"] < 15 * 60
