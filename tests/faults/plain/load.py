"""Sends tasks at a steady pace until a file appears, then says how many; runs in the plain project.

Each is sent as a request would: a row and, once it is committed, the message. One that fails is not sent again.
"""

import time
from collections.abc import Callable
from pathlib import Path

import config  # noqa: F401 (the app that shared tasks belong to)
from django.db import DatabaseError, connection, transaction
from kombu.exceptions import OperationalError
from ledger.models import Entry
from ledger.tasks import record_effect

PAUSE = 0.1

Work = Callable[[int], tuple[float, float | None]]


def send(key: str, seconds: float, later: float | None) -> None:
    with transaction.atomic():
        Entry.objects.create(key=key)
        record_effect.apply_async_on_commit((key, seconds), countdown=later)


def send_until(end: Path, prefix: str, hertz: float, work_of: Work) -> int:
    began, number = time.monotonic(), 0
    while not end.exists():
        if number >= (time.monotonic() - began) * hertz:
            time.sleep(PAUSE)
            continue
        try:
            send(f"{prefix}-{number}", *work_of(number))
        except (DatabaseError, OperationalError):
            connection.close()
        number += 1
    sent: int = Entry.objects.filter(key__startswith=f"{prefix}-").count()
    return sent
