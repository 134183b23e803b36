"""A beat that may run on several hosts: one holds the lease and sends, the others stand by.

Two things keep an entry from being sent twice. The lease says who sends: a row that a beat takes for some seconds
of the database's clock, and by its own clock gives up a little earlier. And each send is claimed first: in one
transaction that locks the lease, the entry's run is written down under the condition that nobody else wrote it.
So not even a beat that was frozen between its check and its send repeats what another has sent meanwhile.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import uuid4

from amqp.exceptions import MessageNacked
from celery.beat import SchedulingError
from celery.schedules import schedstate
from celery.utils.log import get_logger
from celery.utils.nodenames import gethostname
from django.db import connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django_celery_beat.models import PeriodicTask, PeriodicTasks
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry
from redis.exceptions import OutOfMemoryError

from celery_ops import environment
from celery_ops.database import DATABASE_ERRORS, DATABASE_IS_AWAY, from_now
from celery_ops.heartbeat import configured_file
from celery_ops.models import BeatLease
from celery_ops.outbox import BROKER_IS_AWAY, OutboxTask
from celery_ops.sweeper import Sweeper

DEFAULT_LEASE_SECONDS = 30
STANDBY_SECONDS = 2
LOCK_WAIT_SECONDS = 2
BROKER_TAKES_NOTHING = (*BROKER_IS_AWAY, OutOfMemoryError)

logger = get_logger(__name__)


def steady_clock() -> float:
    """Seconds that go on while the host sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Lease:
    """The right to send periodic tasks."""

    def __init__(self, holder: str, seconds: int, clock: Callable[[], float] = steady_clock) -> None:
        self.holder = holder
        self.process = uuid4().hex
        self.seconds = seconds
        self.current_holder = ""
        self.expires_at: datetime | None = None
        self._clock = clock
        self._valid_until = float("-inf")

    @property
    def is_valid(self) -> bool:
        """By this host's clock, and with a margin for the time that a message needs to leave."""
        return self._clock() < self._valid_until

    @property
    def wants_renewal(self) -> bool:
        return self._clock() > self._valid_until - self.seconds * 0.5

    def take(self) -> bool:
        """Takes or renews the lease, unless another holds it. Waits LOCK_WAIT_SECONDS for its row at most."""
        asked_at = self._clock()
        mine_or_free = Q(process=self.process) | Q(expires_at=None) | Q(expires_at__lt=Now())
        with transaction.atomic():
            limit_waits(self.seconds)
            BeatLease.objects.bulk_create([BeatLease(name="beat")], ignore_conflicts=True)
            taken = BeatLease.objects.filter(mine_or_free, name="beat").update(
                holder=self.holder, process=self.process, expires_at=from_now(self.seconds)
            )
            row = BeatLease.objects.get(name="beat")
        self.current_holder, self.expires_at = row.holder, row.expires_at
        self._valid_until = asked_at + self.seconds * 0.8 if taken else float("-inf")
        return bool(taken)

    def release(self) -> None:
        self._valid_until = float("-inf")
        with transaction.atomic():
            limit_waits(self.seconds)
            BeatLease.objects.filter(process=self.process).update(expires_at=None, holder="", process="")

    def lose(self) -> None:
        self._valid_until = float("-inf")


def limit_waits(idle_seconds: int) -> None:
    """A beat that froze inside its transaction must not keep the others from the row."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT set_config('lock_timeout', %s, true), "
                "set_config('idle_in_transaction_session_timeout', %s, true)",
                [f"{LOCK_WAIT_SECONDS}s", f"{idle_seconds}s"],
            )


class Entry(ModelEntry):
    """django-celery-beat leaves an entry out when this is a ValueError, and dies of any other error."""

    def __init__(self, model: PeriodicTask, app: Any = None) -> None:
        try:
            super().__init__(model, app=app)
        except DATABASE_IS_AWAY:
            raise
        except Exception as error:
            logger.error("beat: %s is left out, for it cannot be read: %r; correct it in the admin", model.name, error)
            raise ValueError(f"{model.name} cannot be read") from error


def comes_of(error: BaseException | None, kinds: type[BaseException] | tuple[type[BaseException], ...]) -> bool:
    while error is not None:
        if isinstance(error, kinds):
            return True
        error = error.__cause__ or error.__context__
    return False


def ignore_further_signals() -> None:
    """A second stop would interrupt the first, wait for the locks that it holds, and leave the rest of it undone."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)


class LeasedScheduler(DatabaseScheduler):
    """django-celery-beat's scheduler behind a lease: `celery beat --scheduler celery_ops.beat:LeasedScheduler`."""

    # Celery's own would wait for the broker without an end (celery/beat.py, _ensure_connected); without one, each
    # message is published as anywhere else, with an end to its retries.
    producer = None
    Entry = Entry

    def __init__(self, *args: Any, lazy: bool = False, **options: Any) -> None:
        self.lease = Lease(
            environment.text("CELERY_BEAT_HOLDER", gethostname()),
            environment.seconds("CELERY_BEAT_LEASE_TTL", DEFAULT_LEASE_SECONDS, least=3),
        )
        self.heartbeat = None if lazy else configured_file()
        self.is_active = False
        self.is_ticking = False
        self.is_to_stop = False
        self.could_send = True
        self.refused_until: dict[str, float] = {}
        super().__init__(*args, lazy=lazy, **options)
        self.sweeper = Sweeper(self.app, lambda: self.is_active and self.lease.is_valid)

    def setup_schedule(self) -> None:
        """Nothing yet: what it writes makes the active beat read its schedule again."""

    def tick(self, *args: Any, **options: Any) -> float:
        if self.is_to_stop:
            # What a signal handler raises is dropped when it interrupts a finalizer (sys.unraisablehook).
            raise SystemExit
        self.is_ticking = self.could_send = True
        try:
            self.sweeper.start()
            seconds = self._tick(*args, **options)
        except DATABASE_ERRORS as error:
            logger.error("beat: waits for the database: %s", error)
            with suppress(*DATABASE_ERRORS):
                connection.close()
            self.read_again()
            seconds = STANDBY_SECONDS
        finally:
            self.is_ticking = False
        self.beat()
        return seconds

    def _tick(self, *args: Any, **options: Any) -> float:
        if self.lease.wants_renewal:
            had_lease, self.is_active = self.is_active, False
            self.is_active = self.lease.take()
            if self.is_active and not had_lease:
                logger.warning("beat: %s is active", self.lease.holder)
                self.read_schedule()
            elif had_lease and not self.is_active:
                logger.warning("beat: %s stands by, %s is active", self.lease.holder, self.lease.current_holder)
        if not self.is_active:
            return STANDBY_SECONDS
        seconds = super().tick(*args, **options)
        return float(min(seconds, self.lease.seconds / 6)) if self.could_send else STANDBY_SECONDS

    def read_schedule(self) -> None:
        # An entry that never ran counts from its last change, which the next line but one would renew. One with a
        # start_time counts from there, and a disabled one from the moment that it is enabled.
        never_ran = PeriodicTask.objects.filter(last_run_at=None, start_time=None, enabled=True)
        never_ran.update(last_run_at=F("date_changed"))
        self.read_again()
        super().setup_schedule()

    def read_again(self) -> None:
        self._dirty.clear()
        self._initial_read = True
        self._heap = None

    def is_refused(self, entry: Any) -> bool:
        """Whether the queue of this one took nothing a moment ago; the others need not wait for that."""
        return self.refused_until.get(entry.name, 0.0) > steady_clock()

    def is_due(self, entry: Any) -> Any:
        return schedstate(False, STANDBY_SECONDS) if self.is_refused(entry) else super().is_due(entry)

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Claims the run, then sends it. What an OutboxTask sends is part of the claim."""
        is_settled = False
        try:
            is_settled = not self.claim(entry) or self.send(entry, producer)
        except (SystemExit, *DATABASE_ERRORS):
            # A signal may have interrupted a query, and nobody knows whether a lost connection had committed.
            connection.close()
            raise
        finally:
            if not is_settled:
                self.could_send = self.is_refused(entry)
                # Of an OutboxTask the message is in the claim's transaction: one stands for the other.
                if not isinstance(self.app.tasks.get(entry.task), OutboxTask):
                    self.give_back(entry)
                self.read_again()

    def claim(self, entry: Any) -> bool:
        """Whether the run is this beat's to send. Of what can never be published the claim stays: it has its turn."""
        task = self.app.tasks.get(entry.task)
        with transaction.atomic():
            limit_waits(self.lease.seconds)
            if not (self.lease.take() and self.write_down(entry)):
                self.is_active = False
                self.lease.lose()
                self.read_again()
                return False
            if not isinstance(task, OutboxTask):
                return True
            try:
                with transaction.atomic():
                    task.apply_async_on_commit(entry.args, entry.kwargs, **entry.options)
            except DATABASE_IS_AWAY:
                raise
            except Exception:
                logger.exception("beat: %s cannot be sent; correct it before its next run", entry.name)
        return False

    def send(self, entry: Any, producer: Any) -> bool:
        """False when any other beat, or this one in a moment, could send the run."""
        if not self.lease.is_valid:
            logger.warning("beat: %s is not sent: the lease ran out", entry.name)
            return False
        try:
            self.apply_async(entry, producer=producer, advance=False)
        except SchedulingError as error:
            if comes_of(error, BROKER_TAKES_NOTHING):
                if comes_of(error, MessageNacked):
                    self.refused_until[entry.name] = steady_clock() + STANDBY_SECONDS
                logger.warning("beat: %s is not sent: %s", entry.name, error)
                return False
            logger.exception("beat: %s cannot be sent; correct it before its next run", entry.name)
        return True

    def write_down(self, entry: Any) -> bool:
        """Whether this beat is the first to write the run of `entry` down, so that it is its to send."""
        self._dirty.discard(entry.name)
        return bool(
            PeriodicTask.objects.filter(pk=entry.model.pk, enabled=True, total_run_count=entry.total_run_count).update(
                last_run_at=entry.model.last_run_at, total_run_count=F("total_run_count") + 1
            )
        )

    def give_back(self, entry: Any) -> None:
        """Takes back the claim, if there is one: whoever is active in a moment sends the run."""
        with suppress(*DATABASE_ERRORS):
            claimed = PeriodicTask.objects.filter(
                pk=entry.model.pk, total_run_count=entry.total_run_count + 1, last_run_at=entry.model.last_run_at
            )
            if claimed.update(last_run_at=entry.last_run_at, total_run_count=entry.total_run_count):
                PeriodicTasks.update_changed()

    def sync(self) -> None:
        """Nothing: each run was written down when it was claimed."""
        self._dirty.clear()

    def close(self) -> None:
        self.is_to_stop = True
        ignore_further_signals()
        if self.is_ticking:
            # Called by the signal handler, which may have interrupted a query; Celery calls again on its way out.
            return
        super().close()
        self.sweeper.stop()
        with suppress(*DATABASE_ERRORS):
            if self.is_active:
                self.is_active = False
                connection.close()
                self.lease.release()
            connection.close()
        if self.heartbeat:
            self.heartbeat.remove()

    def beat(self) -> None:
        if self.heartbeat and self.heartbeat.is_due:
            expires_at = self.lease.expires_at
            self.heartbeat.write(
                {
                    "hostname": self.lease.holder,
                    "active": self.is_active and self.lease.is_valid,
                    "lease_expires": expires_at.timestamp() if expires_at else None,
                    "holder": self.lease.current_holder or None,
                }
            )
