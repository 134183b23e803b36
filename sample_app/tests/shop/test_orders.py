from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection, transaction

from celery_ops import outbox
from celery_ops.models import OutboxMessage
from config.celery import app
from shop import tasks
from shop.models import LedgerEntry, Order, OrderEvent, WebhookDelivery
from shop.orders import place_orders, progress_of
from tests.outbox import in_another_transaction, until_ended
from tests.processes import Process
from tests.shop.receiver import Receiver
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("catalogue")

State = Order.State


def until_notified(count: int) -> None:
    until(lambda: Order.objects.filter(state=State.NOTIFIED).count() == count, why=f"{count} orders notified")


def until_no_delivery_waits() -> None:
    waiting = WebhookDelivery.objects.filter(state=WebhookDelivery.State.WAITING)
    until(lambda: not waiting.exists(), why="every webhook delivered")


def test_orders_go_through_every_step_on_the_worker_of_its_queue(
    workers: dict[str, Process], receiver: Receiver
) -> None:
    batch = place_orders(20)
    until_notified(20)
    until_no_delivery_waits()
    progress = progress_of(batch)
    assert progress is not None
    assert progress["by_worker"] == {"charge": {"main@test": 20}, "ship": {"main@test": 20}, "notify": {"io@test": 20}}
    assert progress["deliveries"] == {"delivered": 20}
    assert not progress["moving"]


def test_every_message_twice_has_one_effect(workers: dict[str, Process], receiver: Receiver) -> None:
    place_orders(5)
    orders = list(Order.objects.values_list("pk", flat=True))
    again = [tasks.charge_order.delay_on_commit(order) for order in orders]
    until_notified(5)
    again += [task.delay_on_commit(order) for order in orders for task in (tasks.ship_order, tasks.notify_order)]
    until_no_delivery_waits()
    deliveries = WebhookDelivery.objects.values_list("pk", flat=True)
    again += [tasks.deliver_webhook.delay_on_commit(str(pk)) for pk in deliveries]
    until_ended(*again)
    assert OrderEvent.objects.count() == 15
    assert OutboxMessage.objects.filter(task="shop.tasks.ship_order").count() == 10
    assert OutboxMessage.objects.filter(task="shop.tasks.notify_order").count() == 10
    assert sorted(hook.message["order"] for hook in receiver.received) == sorted(orders)


def test_the_same_message_in_two_processes_at_once_has_one_effect(
    workers: dict[str, Process], receiver: Receiver, order: Order, backends: Callable[..., list[int]]
) -> None:
    with transaction.atomic():
        Order.objects.select_for_update().get(pk=order.pk)
        tasks_of_one_order = in_another_transaction(
            lambda: [tasks.charge_order.delay_on_commit(order.pk) for _ in range(2)]
        )
        until(lambda: len(backends("main", waiting_for_lock=True)) == 2, why="both processes wait for the order")
    until_ended(*tasks_of_one_order)
    assert order.events.filter(step="charge").count() == 1
    until_notified(1)


def test_a_lost_database_connection_is_retried(
    workers: dict[str, Process], receiver: Receiver, order: Order, backends: Callable[..., list[int]]
) -> None:
    with transaction.atomic():
        Order.objects.select_for_update().get(pk=order.pk)
        task_ids = in_another_transaction(lambda: [tasks.charge_order.delay_on_commit(order.pk)])
        (blocked,) = until(lambda: backends("main", waiting_for_lock=True), why="the worker waits for the order")
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [blocked])
    (row,) = until_ended(*task_ids)
    assert row.retries == 1
    until_notified(1)
    assert order.events.count() == 3
    assert "Retry in" in workers["main"].log


def test_a_step_that_is_not_due_does_nothing(order: Order) -> None:
    tasks.ship_order(order.pk)
    tasks.notify_order(order.pk)
    order.refresh_from_db()
    assert order.state == State.PLACED
    assert not OutboxMessage.objects.exists()
    assert not WebhookDelivery.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_next_message_is_committed_with_the_step(order: Order, published: list[str]) -> None:
    with transaction.atomic():
        tasks.charge_order(order.pk)
        assert not published
        assert OutboxMessage.objects.get().task == "shop.tasks.ship_order"
        transaction.set_rollback(True)
    order.refresh_from_db()
    assert order.state == State.PLACED
    assert not OutboxMessage.objects.exists()
    assert not published


@pytest.mark.django_db(transaction=True)
def test_a_rolled_back_purchase_sends_nothing(published: list[str]) -> None:
    with transaction.atomic():
        place_orders(3)
        transaction.set_rollback(True)
    assert not Order.objects.exists()
    assert not OutboxMessage.objects.exists()
    assert not published


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("charge_order", 10**9),
        ("ship_order", 10**9),
        ("notify_order", 10**9),
        ("build_report", 10**9),
        ("deliver_webhook", "00000000-0000-4000-8000-000000000000"),
    ],
)
def test_a_task_whose_object_is_gone_ends_well(workers: dict[str, Process], name: str, missing: object) -> None:
    until_ended(getattr(tasks, name).delay_on_commit(missing))


def test_the_ledger_counts_each_start_and_each_effect(workers: dict[str, Process]) -> None:
    until_ended(*(tasks.record_effect.delay_on_commit("a key") for _ in range(3)))
    entry = LedgerEntry.objects.get(key="a key")
    assert (entry.starts, entry.effects, entry.worker) == (3, 3, "main@test")


def test_copies_of_a_message_are_starts_and_one_effect(workers: dict[str, Process]) -> None:
    task_id = tasks.record_effect.delay_on_commit("a key", 1)
    outbox.send(app, OutboxMessage.objects.get(pk=task_id))
    until_ended(task_id)
    outbox.send(app, OutboxMessage.objects.get(pk=task_id))
    until(lambda: LedgerEntry.objects.get(key="a key").starts == 3, why="the third copy arrives")
    until(lambda: workers["main"].log.count(f"A copy of task {task_id} is dropped") == 2)
    assert LedgerEntry.objects.get(key="a key").effects == 1


def test_tasks_that_stand_for_work_end(workers: dict[str, Process]) -> None:
    assert tasks.noop.delay().get(timeout=30) is None
    assert tasks.sleep.delay(0.01).get(timeout=30) is None


@pytest.mark.django_db
def test_an_effect_counts_although_its_start_was_not_noted() -> None:
    LedgerEntry.objects.take_effect("a key", "main@test")
    assert LedgerEntry.objects.get(key="a key").effects == 1
