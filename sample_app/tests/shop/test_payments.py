from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection
from pytest_django import Settings

from celery_ops.models import OutboxMessage
from shop import tasks
from shop.models import Notice, Order
from shop.notice_tasks import tell_of_failure
from shop.orders import progress_of
from shop.outside import Refused, TryLater
from shop.retrying import MOST_ATTEMPTS
from tests.shop.receiver import Answer, Receiver

pytestmark = pytest.mark.django_db(transaction=True)

State = Order.State


@pytest.fixture
def provider(settings: Settings) -> Iterator[Receiver]:
    provider = Receiver()
    settings.SHOP_PAYMENT_URL = provider.url
    yield provider
    provider.close()


def state_of(order: Order) -> str:
    order.refresh_from_db()
    return order.state


def test_an_order_is_paid_before_it_is_charged(provider: Receiver, order: Order) -> None:
    transactions: list[bool] = []
    provider.before_answer = lambda: transactions.append(connection.in_atomic_block)
    tasks.charge_order(order.pk)
    assert state_of(order) == State.CHARGED
    (payment,) = provider.received
    assert (payment.key, payment.message) == (f"{order.batch}-{order.pk}", {"order": order.pk, "amount": "9.50"})
    assert OutboxMessage.objects.get().task == "shop.tasks.ship_order"


def test_a_run_that_was_killed_before_it_wrote_asks_with_the_same_key(
    provider: Receiver, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Order.objects, "take", kill)
        with pytest.raises(Killed):
            tasks.charge_order(order.pk)
    tasks.charge_order(order.pk)
    first, second = provider.received
    assert first.key == second.key
    tasks.charge_order(order.pk)
    assert len(provider.received) == 2, "an order that is charged costs no further question"


def test_a_declined_payment_ends_the_order_and_tells_the_operator(provider: Receiver, order: Order) -> None:
    provider.answers = [Answer(402)]
    tasks.charge_order(order.pk)
    assert state_of(order) == State.DECLINED
    assert Notice.objects.get().text == f"The payment of order {order.pk} was declined."
    assert not OutboxMessage.objects.exists()
    progress = progress_of(order.batch)
    assert progress is not None
    assert (progress["declined"], progress["moving"]) == (1, False)
    Order.objects.decline(order.pk)
    assert Notice.objects.count() == 1


@pytest.mark.parametrize("status", [301, 400, 401, 404])
def test_a_provider_that_does_not_take_the_question_fails_the_task_and_declines_nothing(
    provider: Receiver, order: Order, status: int
) -> None:
    provider.answers = [Answer(status)]
    result = tasks.charge_order.apply([order.pk])
    assert result.state == "FAILURE"
    assert isinstance(result.result, Refused)
    assert state_of(order) == State.PLACED


def test_a_busy_provider_is_asked_again_but_not_for_ever(provider: Receiver, order: Order) -> None:
    provider.answers = [Answer(503)] * MOST_ATTEMPTS
    result = tasks.charge_order.apply([order.pk])
    assert result.state == "FAILURE"
    assert isinstance(result.result, TryLater)
    assert len(provider.received) == MOST_ATTEMPTS
    assert state_of(order) == State.PLACED, "the sweep asks again later"


def test_without_a_provider_every_order_counts_as_paid(settings: Settings, order: Order) -> None:
    settings.SHOP_PAYMENT_URL = ""
    tasks.charge_order(order.pk)
    assert state_of(order) == State.CHARGED


def test_a_payment_of_an_order_that_is_gone_is_not_asked_for(provider: Receiver) -> None:
    tasks.charge_order(10**9)
    assert not provider.received


def test_a_notice_is_told_once() -> None:
    task_id = tasks.charge_order.delay_on_commit(1)
    for _ in range(2):
        tell_of_failure(task_id)
    tell_of_failure("gone")
    assert [notice.text for notice in Notice.objects.all()] == ["shop.tasks.charge_order failed for [1]."]
