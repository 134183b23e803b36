"""Sends tasks at a steady pace until a file appears, then prints how many; runs in the app, with the rights of web.

Each is an OutboxTask with a key of the ledger, `PREFIX-NUMBER`. Most take no time; some take long, in either queue, and
some come later.
"""

import time
from pathlib import Path
from typing import Any

import config.celery  # noqa: F401 (the app that shared tasks belong to)
from celery_ops.database import DATABASE_ERRORS
from celery_ops.models import OutboxMessage
from django.db import connection, transaction
from shop.tasks import record_effect

PAUSE = 0.1
MOST_AT_ONCE = 200
LONG_EVERY, LONG_SECONDS = 50, 10
LATER_EVERY, LATER_SECONDS = 40, 15


def options_of(number: int) -> tuple[float, dict[str, Any]]:
    """How long the task with this number works, and how it is sent."""
    if number % LONG_EVERY == 1:
        return LONG_SECONDS, {"queue": "celery"}
    if number % (8 * LONG_EVERY) == 3:
        return LONG_SECONDS, {"queue": "reports"}
    if number % LATER_EVERY == 2:
        return 0, {"queue": "celery", "countdown": LATER_SECONDS}
    return 0, {"queue": "celery"}


def send(prefix: str, numbers: range) -> None:
    with transaction.atomic():
        for number in numbers:
            seconds, options = options_of(number)
            record_effect.apply_async_on_commit((f"{prefix}-{number}", seconds), **options)


def are_sent(prefix: str, numbers: range) -> bool:
    """Whether the transaction of these was committed, whatever its connection came to."""
    found: bool = OutboxMessage.objects.filter(args__0=f"{prefix}-{numbers[0]}").exists()
    return found


def send_until(end: Path, prefix: str, hertz: float) -> int:
    """An open loop: what could not be sent for a while is sent as soon as it can be."""
    began, sent = time.monotonic(), 0
    while not end.exists():
        due = int((time.monotonic() - began) * hertz)
        numbers = range(sent, min(due, sent + MOST_AT_ONCE))
        if numbers:
            sent = numbers.stop if is_committed(prefix, numbers) else sent
        time.sleep(PAUSE)
    return sent


def is_committed(prefix: str, numbers: range) -> bool:
    try:
        send(prefix, numbers)
    except DATABASE_ERRORS:
        connection.close()
        return is_found(prefix, numbers)
    return True


def is_found(prefix: str, numbers: range) -> bool:
    while True:
        try:
            return are_sent(prefix, numbers)
        except DATABASE_ERRORS:
            connection.close()
            time.sleep(PAUSE)
