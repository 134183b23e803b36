"""Keeps the leases of the outbox rows that this process works on."""

from __future__ import annotations

import os
import threading

from celery.utils.log import get_logger
from django.db import DatabaseError, connection

from celery_ops.database_clock import from_now
from celery_ops.models import OutboxMessage

LEASE_SECONDS = 30

logger = get_logger(__name__)


class Keeper:
    """Renews leases from a thread (a greenlet under gevent), with a database connection only while it needs one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders: set[str] = set()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._pid = 0

    def hold(self, holder: str) -> None:
        if self._pid != os.getpid():
            self.__init__()  # type: ignore[misc]
            self._pid = os.getpid()
        with self._lock:
            self._holders.add(holder)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="outbox-leases", daemon=True)
                self._thread.start()
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
                else:
                    connection.close()
            except DatabaseError as error:
                logger.warning("The leases of %s running tasks could not be renewed: %s", len(holders), error)
                connection.close()

    @staticmethod
    def _renew(holders: list[str]) -> None:
        OutboxMessage.objects.filter(holder__in=holders, acknowledged_at=None, leased_until__isnull=False).update(
            leased_until=from_now(LEASE_SECONDS)
        )


keeper = Keeper()
