"""Tasks of the tests. Workers get them by `--include`."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from celery import shared_task
from celery.exceptions import Reject, Retry
from celery.utils.log import get_task_logger
from django.contrib.auth.models import Group
from django.db import OperationalError, connection

from celery_ops import correlation
from celery_ops.outbox import OutboxTask
from tests.gate import Gate

logger = get_task_logger(__name__)


@shared_task
def wait_at_gate(path: str) -> None:
    Gate(Path(path)).wait()


@shared_task(bind=True, base=OutboxTask, default_retry_delay=0)
def effect(self: OutboxTask, path: str, text: str = "") -> str:
    gate = Gate(Path(path))
    gate.wait(text or str(self.request.retries))
    gate.take_effect(text)
    return text


@shared_task(bind=True, base=OutboxTask, atomic=True)
def effect_in_database(self: OutboxTask, path: str) -> None:
    Group.objects.create(name=f"{self.request.id} {time.time_ns()}")
    Gate(Path(path)).wait()


@shared_task(bind=True, base=OutboxTask, max_retries=2)
def always_retry(self: OutboxTask, path: str) -> None:
    Gate(Path(path)).take_effect(str(self.request.retries))
    raise self.retry(exc=ValueError("not yet"), countdown=0)


@shared_task(bind=True, base=OutboxTask)
def goes_on_after_retry(self: OutboxTask, path: str, how: str) -> None:
    Gate(Path(path)).take_effect(str(self.request.retries))
    if self.request.retries:
        return
    try:
        self.retry(countdown=0, throw=how != "returns")
    except Exception as error:
        if how == "raises another":
            raise ValueError("a retry is under way") from error


@shared_task(bind=True, base=OutboxTask, atomic=True)
def goes_on_after_retry_in_database(self: OutboxTask) -> None:
    Group.objects.create(name=f"{self.request.id} {self.request.retries}")
    if not self.request.retries:
        self.retry(countdown=0, throw=False)


@shared_task(base=OutboxTask)
def raises_retry() -> None:
    raise Retry("later")


@shared_task(base=OutboxTask)
def raises_value_error() -> None:
    raise ValueError("even in eager mode")


@shared_task(bind=True, base=OutboxTask)
def calls_itself(self: OutboxTask, path: str, times: int) -> None:
    Gate(Path(path)).take_effect(str(times))
    if times:
        self(path, times - 1)


@shared_task(bind=True, base=OutboxTask, atomic=True)
def loses_its_connection(self: OutboxTask, path: str) -> None:
    """The database ends the connection when the run is over, so the commit fails."""
    Group.objects.create(name=f"{self.request.id} {time.time_ns()}")
    gate = Gate(Path(path))
    gate.take_effect()
    if len(gate.effects) == 1:
        connection.connection.close()


@shared_task(
    bind=True, base=OutboxTask, atomic=True, autoretry_for=(OperationalError,), max_retries=None, retry_backoff=1
)
def tries_until_the_database_is_back(self: OutboxTask, path: str) -> None:
    Group.objects.create(name=f"{self.request.id} {time.time_ns()}")
    Gate(Path(path)).wait()
    Group.objects.create(name=f"{self.request.id} {time.time_ns()}")


@shared_task(base=OutboxTask, queue="reports")
def of_a_queue() -> None:
    pass


@shared_task(base=OutboxTask)
def rejected() -> None:
    raise Reject("never", requeue=False)


@shared_task(base=OutboxTask)
def typed(path: str, **values: Any) -> None:
    Gate(Path(path)).take_effect(" ".join(f"{name}={type(value).__name__}" for name, value in values.items()))


@shared_task(base=OutboxTask)
def plus(number: int, step: int) -> int:
    return number + step


@shared_task(base=OutboxTask)
def show(outcome: Any, path: str) -> None:
    Gate(Path(path)).take_effect(str(outcome))


@shared_task
def show_without_outbox(outcome: Any, path: str) -> None:
    Gate(Path(path)).take_effect(str(outcome))


class NotYet(Exception):
    pass


def fail_until_open(path: str, text: str) -> str:
    gate = Gate(Path(path))
    gate.note_arrival(text)
    if not gate.path.exists():
        raise NotYet(f"{text}: the gate is closed")
    gate.take_effect(text)
    return text


@shared_task
def fails_at_closed_gate(path: str, text: str) -> str:
    return fail_until_open(path, text)


@shared_task(base=OutboxTask)
def fails_at_closed_gate_in_outbox(path: str, text: str) -> str:
    return fail_until_open(path, text)


@shared_task(max_retries=0)
def kills_its_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@shared_task
def rejected_without_outbox() -> None:
    raise Reject("never", requeue=False)


@shared_task(base=OutboxTask)
def waits_and_fails(path: str) -> None:
    Gate(Path(path)).wait()
    raise NotYet


def tell_correlation(path: str, text: str) -> str:
    Gate(Path(path)).take_effect(f"{text} {correlation.current.get()}")
    logger.info("told by %s", text)
    return text


@shared_task(bind=True)
def tells(self: Any, *_: Any, path: str, text: str, retries: int = 0) -> str:
    told = tell_correlation(path, text)
    if self.request.retries < retries:
        raise self.retry(countdown=0)
    return told


@shared_task(bind=True, base=OutboxTask)
def tells_in_outbox(self: OutboxTask, *_: Any, path: str, text: str, retries: int = 0) -> str:
    told = tell_correlation(path, text)
    if self.request.retries < retries:
        raise self.retry(countdown=0)
    return told


@shared_task(bind=True, default_retry_delay=0)
def is_killed_once(self: Any, path: str) -> None:
    tell_correlation(path, f"run {self.request.retries}")
    if not self.request.retries:
        os.kill(os.getpid(), signal.SIGKILL)
