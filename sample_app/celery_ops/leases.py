"""Keeps the leases of the outbox rows that this process works on."""

from __future__ import annotations

import os
import threading
from contextlib import suppress

from celery.utils.log import get_logger
from django.db import connection

from celery_ops.database import DATABASE_ERRORS, from_now
from celery_ops.models import OutboxMessage

LEASE_SECONDS = 30

logger = get_logger(__name__)


class Keeper:
    """Renews leases from a thread (a greenlet under gevent), with a database connection only while it needs one."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Starts anew: a forked process has its parent's locks, but not its threads."""
        self._lock = threading.Lock()
        self._holders: set[str] = set()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def hold(self, holder: str) -> None:
        with self._lock:
            self._holders.add(holder)
            if self._thread is None or not self._thread.is_alive():
                thread = threading.Thread(target=self._run, name="outbox-leases", daemon=True)
                thread.start()
                self._thread = thread
            self._wake.set()

    def drop(self, holder: str) -> None:
        with self._lock:
            self._holders.discard(holder)

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            self._wake.wait()
            pause.wait(LEASE_SECONDS / 3)
            with self._lock:
                holders = list(self._holders)
                if not holders:
                    self._wake.clear()
            try:
                if holders:
                    self._renew(holders)
                    continue
            except DATABASE_ERRORS as error:
                logger.warning("The leases of %s running tasks could not be renewed: %s", len(holders), error)
            except Exception:
                logger.exception("The leases of %s running tasks could not be renewed", len(holders))
            with suppress(Exception):
                connection.close()

    @staticmethod
    def _renew(holders: list[str]) -> None:
        OutboxMessage.objects.filter(holder__in=holders, acknowledged_at=None, leased_until__isnull=False).update(
            leased_until=from_now(LEASE_SECONDS), suspected_at=None
        )


keeper = Keeper()
os.register_at_fork(after_in_child=keeper.forget)
