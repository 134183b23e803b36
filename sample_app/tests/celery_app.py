"""The app as tests start it, `celery -A tests.celery_app`: it beats often, and its main loop can be blocked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery.worker.control import control_command

from celery_ops import heartbeat
from config.celery import app
from tests.gate import Gate

__all__ = ["app"]

heartbeat.SECONDS_BETWEEN_BEATS = 1


@control_command(args=[("path", str)])
def block_main_loop(state: Any, path: str) -> None:
    """Only the gate ends it. It must not sleep: under gevent that would let the main loop go on."""
    Gate(Path(path)).note_arrival()
    while not os.path.exists(path):  # noqa: PTH110
        pass
