"""Sends tasks at a steady pace until a file appears, then says how many; runs in the app, with the rights of web.

Each is an OutboxTask with a key of the ledger, `PREFIX-NUMBER`, but for some orders, of which one task sends the next.
"""

import time
import uuid
from collections.abc import Callable
from pathlib import Path

import config.celery  # noqa: F401 (the app that shared tasks belong to)
from celery_ops.database import DATABASE_ERRORS
from celery_ops.models import OutboxMessage
from django.db import connection, transaction
from shop.models import Order
from shop.tasks import charge_order, record_effect

PAUSE = 0.1
MOST_AT_ONCE = 200
# Of those that take long, one in eight.
REPORT_EVERY = 400
ORDER_EVERY = 20

Work = Callable[[int], tuple[float, float | None]]


def send(key: str, number: int, work_of: Work) -> None:
    if number % ORDER_EVERY == 3:
        order = Order.objects.create(batch=uuid.uuid4(), item=key, amount=1)
        charge_order.delay_on_commit(order.pk)
        return
    seconds, later = work_of(number)
    queue = "reports" if number % REPORT_EVERY == 1 else "celery"
    record_effect.apply_async_on_commit((key, seconds), queue=queue, countdown=later)


def send_together(prefix: str, numbers: range, work_of: Work) -> None:
    with transaction.atomic():
        for number in numbers:
            send(f"{prefix}-{number}", number, work_of)


def is_sent(key: str) -> bool:
    """Whether the transaction of this one was committed, whatever its connection came to."""
    message = OutboxMessage.objects.filter(args__0=key)
    return bool(message.exists() or Order.objects.filter(item=key).exists())


def send_until(end: Path, prefix: str, hertz: float, work_of: Work) -> int:
    """An open loop: what could not be sent for a while is sent as soon as it can be."""
    began, sent = time.monotonic(), 0
    while not end.exists():
        due = int((time.monotonic() - began) * hertz)
        numbers = range(sent, min(due, sent + MOST_AT_ONCE))
        if numbers:
            sent = numbers.stop if is_committed(prefix, numbers, work_of) else sent
        time.sleep(PAUSE)
    return sent


def is_committed(prefix: str, numbers: range, work_of: Work) -> bool:
    try:
        send_together(prefix, numbers, work_of)
    except DATABASE_ERRORS:
        connection.close()
        return is_found(f"{prefix}-{numbers[0]}")
    return True


def is_found(key: str) -> bool:
    while True:
        try:
            return is_sent(key)
        except DATABASE_ERRORS:
            connection.close()
            time.sleep(PAUSE)
