"""The sweep of the outbox, which beat runs: no backlog of any queue stands before it, and no busy pool.

It runs in a thread, so that a long sweep delays no periodic task, and only while this beat is the active one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from celery import Celery
from celery.utils.log import get_logger
from django.db import connection

from celery_ops import sweep

SECONDS_BETWEEN_SWEEPS = 60
SECONDS_BETWEEN_TRIES = 10
"""After a sweep that failed or left something: what it waits for may be there at any moment."""
SECONDS_TO_END = 2

logger = get_logger(__name__)


class Sweeper:
    def __init__(self, app: Celery, may_sweep: Callable[[], bool], seconds: float = SECONDS_BETWEEN_SWEEPS) -> None:
        self._app = app
        self._may_sweep = may_sweep
        self._seconds = seconds
        self._seconds_between_tries = min(SECONDS_BETWEEN_TRIES, seconds)
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Does nothing when it runs, or has been stopped."""
        if not self._stopped.is_set() and not (self._thread and self._thread.is_alive()):
            self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """A sweep that takes longer is cut off; what it sent and did not note down is sent once more."""
        self._stopped.set()
        if self._thread:
            self._thread.join(SECONDS_TO_END)

    def _run(self) -> None:
        due_at = float("-inf")
        while not self._stopped.is_set():
            if time.monotonic() >= due_at and self._may_sweep():
                pause = self.sweep_once()
                due_at = time.monotonic() + pause
            self._stopped.wait(min(1, self._seconds))

    def sweep_once(self) -> float:
        """Sweeps once; returns the seconds until the next time."""
        pause = self._seconds_between_tries
        try:
            if not sweep.sweep(self._app).is_left:
                pause = self._seconds
        except Exception:
            logger.exception("The sweep failed, the next is in %s s", pause)
        finally:
            with suppress(Exception):
                connection.close()
        return pause
