from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.utils import timezone

from config.celery import app
from shop.models import Notice, Order, WebhookDelivery
from shop.notice_tasks import tell_of_failure, tell_operator
from shop.retrying import MOST_ATTEMPTS
from shop.tasks import charge_order, deliver_webhook
from tests.brokers import ON_RABBITMQ
from tests.conftest import worker_arguments
from tests.outbox import until_ended
from tests.processes import Process
from tests.shop.receiver import Answer, Receiver
from tests.waiting import until


def last_try_of(delivery: WebhookDelivery) -> str:
    WebhookDelivery.objects.filter(pk=delivery.pk).update(attempts=MOST_ATTEMPTS - 1)
    return str(deliver_webhook.apply_async_on_commit([str(delivery.pk)], link_error=tell_of_failure.s()))


def test_the_operator_hears_of_a_webhook_that_failed(
    workers: dict[str, Process], receiver: Receiver, order: Order, admin_client: Client
) -> None:
    delivery = WebhookDelivery.objects.create(order=order)
    receiver.answers = [Answer(503)]
    until_ended(last_try_of(delivery), state="FAILURE")
    until(Notice.objects.exists, why="the operator is told")
    assert Notice.objects.get().text == f"shop.tasks.deliver_webhook failed for ['{delivery.pk}']."
    assert "shop.tasks.deliver_webhook failed" in admin_client.get("/", secure=True).content.decode()


@ON_RABBITMQ
def test_a_limited_task_is_held_while_others_pass_it(start_celery: Callable[..., Process]) -> None:
    worker = start_celery("worker", *worker_arguments())
    worker.until_consuming()
    app.control.rate_limit(tell_of_failure.name, "1/h", reply=True, timeout=10)
    for _ in range(2):
        tell_of_failure.delay(charge_order.delay_on_commit(10**9))
    received = f"Task {tell_of_failure.name}"
    until(lambda: worker.log.count(received) == 2 + 1, why="both are received, and one has ended")
    until_ended(tell_operator.delay_on_commit("It passes.", "a key"))
    assert Notice.objects.filter(key__startswith="task-").count() == 1


@pytest.mark.django_db
def test_the_page_shows_the_newest_notices_to_staff_alone(client: Client, admin_client: Client) -> None:
    assert "For the operator" not in admin_client.get("/", secure=True).content.decode()
    Notice.objects.create(key="a key", text="Look <here>.", at=timezone.now())
    assert "Look &lt;here&gt;." in admin_client.get("/", secure=True).content.decode()
    assert "For the operator" not in client.get("/", secure=True).content.decode()
