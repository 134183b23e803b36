from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from django.db import OperationalError, transaction
from pytest_django import Settings

from shop import outside, tasks
from shop.models import Notice, Order, WebhookDelivery
from shop.retrying import MOST_ATTEMPTS
from tests.outbox import in_another_transaction
from tests.ports import free_port
from tests.processes import Process
from tests.shop.receiver import Answer, Receiver
from tests.waiting import until

State = WebhookDelivery.State


@pytest.fixture
def delivery(order: Order) -> WebhookDelivery:
    return WebhookDelivery.objects.create(order=order)


def until_closed(delivery: WebhookDelivery) -> WebhookDelivery:
    def closed() -> bool:
        delivery.refresh_from_db()
        return delivery.state != State.WAITING

    until(closed, why="the delivery is closed")
    return delivery


def test_the_receiver_gets_the_order_and_a_key_to_know_repetitions(
    workers: dict[str, Process], receiver: Receiver, delivery: WebhookDelivery
) -> None:
    tasks.deliver_webhook.delay_on_commit(str(delivery.pk))
    until_closed(delivery)
    assert (delivery.state, delivery.attempts, delivery.response_status) == (State.DELIVERED, 1, 200)
    (hook,) = receiver.received
    assert hook.key == str(delivery.pk)
    assert hook.message == {
        "event": "order.shipped",
        "order": delivery.order_id,
        "item": "Sencha, 100 g",
        "amount": "9.50",
    }


def test_a_busy_receiver_is_asked_again_when_it_said(
    workers: dict[str, Process], receiver: Receiver, delivery: WebhookDelivery
) -> None:
    receiver.answers = [Answer(503, {"Retry-After": "2"})]
    tasks.deliver_webhook.delay_on_commit(str(delivery.pk))
    until_closed(delivery)
    assert (delivery.state, delivery.attempts, delivery.response_status) == (State.DELIVERED, 2, 200)
    first, second = receiver.received
    assert first.key == second.key
    assert second.at - first.at >= 1.5


def test_a_refusal_is_final(workers: dict[str, Process], receiver: Receiver, delivery: WebhookDelivery) -> None:
    receiver.answers = [Answer(410)]
    tasks.deliver_webhook.delay_on_commit(str(delivery.pk))
    until_closed(delivery)
    assert (delivery.state, delivery.attempts, delivery.response_status) == (State.FAILED, 1, 410)
    assert delivery.reason == "refused with status 410"
    assert Notice.objects.get().text == f"The webhook of order {delivery.order_id} was refused with status 410."


def test_a_redirect_is_not_followed(workers: dict[str, Process], receiver: Receiver, delivery: WebhookDelivery) -> None:
    receiver.answers = [Answer(307, {"Location": receiver.url})]
    tasks.deliver_webhook.delay_on_commit(str(delivery.pk))
    assert until_closed(delivery).state == State.FAILED
    assert len(receiver.received) == 1


@pytest.mark.django_db(transaction=True)
def test_nobody_listening_waits_for_another_try(delivery: WebhookDelivery, settings: Settings) -> None:
    settings.SHOP_WEBHOOK_URL = f"http://127.0.0.1:{free_port()}/"
    with pytest.raises(outside.TryLater):
        tasks.deliver_webhook(str(delivery.pk))
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts, delivery.reason) == (State.WAITING, 1, "no answer: ConnectionError")


@pytest.mark.django_db(transaction=True)
def test_the_last_try_fails_for_good(delivery: WebhookDelivery, settings: Settings) -> None:
    settings.SHOP_WEBHOOK_URL = f"http://127.0.0.1:{free_port()}/"
    delivery.attempts = MOST_ATTEMPTS - 1
    delivery.save()
    result = tasks.deliver_webhook.apply([str(delivery.pk)])
    assert result.state == "FAILURE"
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == (State.FAILED, MOST_ATTEMPTS)


@pytest.mark.django_db(transaction=True)
def test_an_outage_of_the_database_is_no_attempt_of_the_delivery(
    delivery: WebhookDelivery, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    find, outages = WebhookDelivery.objects.select_related, iter(range(2 * MOST_ATTEMPTS))

    def fail(*arguments: str) -> object:
        for _ in outages:
            raise OperationalError("the database restarts")
        return find(*arguments)

    settings.SHOP_WEBHOOK_URL = ""
    monkeypatch.setattr(WebhookDelivery.objects, "select_related", fail)
    assert tasks.deliver_webhook.apply([str(delivery.pk)]).state == "SUCCESS"
    delivery.refresh_from_db()
    assert delivery.state == State.SKIPPED


def test_without_an_address_it_is_skipped(delivery: WebhookDelivery, settings: Settings) -> None:
    settings.SHOP_WEBHOOK_URL = ""
    tasks.deliver_webhook(str(delivery.pk))
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts, delivery.reason) == (State.SKIPPED, 0, "no address")


def test_slow_receivers_are_waited_for_at_once_and_hold_no_connection(
    workers: dict[str, Process], receiver: Receiver, backends: Callable[..., list[int]]
) -> None:
    all_may_go = threading.Barrier(13, timeout=30)
    receiver.before_answer = all_may_go.wait
    send_deliveries(12)
    until(lambda: all_may_go.n_waiting == 12, why="12 messages wait for their answer")
    until(lambda: len(backends("io")) < 12, why="they wait without a connection each")
    all_may_go.wait()
    until(lambda: WebhookDelivery.objects.filter(state=State.DELIVERED).count() == 12, why="12 delivered")
    until(lambda: not backends("io"), why="the greenlets' connections are closed")


def test_the_database_is_waited_for_at_once(
    workers: dict[str, Process], receiver: Receiver, backends: Callable[..., list[int]]
) -> None:
    orders = Order.objects.bulk_create(
        Order(batch="00000000-0000-4000-8000-000000000000", item="Sencha", amount=1, state=Order.State.SHIPPED)
        for _ in range(8)
    )
    with transaction.atomic():
        list(Order.objects.select_for_update())
        in_another_transaction(lambda: [tasks.notify_order.delay_on_commit(order.pk) for order in orders])
        until(lambda: len(backends("io", waiting_for_lock=True)) == 8, why="8 greenlets wait for PostgreSQL")
    until(lambda: WebhookDelivery.objects.filter(state=State.DELIVERED).count() == 8, why="8 delivered")


def send_deliveries(count: int) -> None:
    batch = "00000000-0000-4000-8000-000000000000"
    for _ in range(count):
        order = Order.objects.create(batch=batch, item="Sencha", amount=1, state=Order.State.NOTIFIED)
        tasks.deliver_webhook.delay_on_commit(str(WebhookDelivery.objects.create(order=order).pk))


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("", 0, 0),
        ("7", 7, 7),
        ("-7", 0, 0),
        ("soon", 0, 0),
        (timedelta(hours=1), 3000, 3600),
        (timedelta(hours=-1), 0, 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | timedelta, least: float, most: float) -> None:
    # Of now, and not of when the tests were collected.
    if isinstance(header, timedelta):
        header = format_datetime(datetime.now(UTC) + header, usegmt=True)
    assert least <= outside.seconds_until(header) <= most
