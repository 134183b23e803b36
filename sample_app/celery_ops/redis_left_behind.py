"""The messages of Redis that a worker holds when it loses its connection.

kombu gives them back as it closes the channel. Where the broker is away nobody hears that, and they are hidden for the
visibility timeout, an ETA task of 10 s as well. Else it gives back what still runs, too. Here the next connection
acknowledges what has ended, and gives back what does not run (kombu/transport/virtual/base.py, restore_unacked_once;
celery/worker/consumer/consumer.py, on_connection_error_after_connected and on_close).
"""

from __future__ import annotations

import time
from collections.abc import Set
from typing import Any

SECONDS_TO_SEE_IDLE = 1
"""Between a pool and its worker a task is for a moment neither waiting, nor running, nor ended."""


class LeftBehind:
    """By delivery tags, which a redelivery keeps."""

    def __init__(self) -> None:
        self._received_at: dict[str, float] = {}
        self._acknowledged: set[str] = set()
        self._idle: Set[str] = frozenset()
        self._settled_at = float("-inf")

    def __bool__(self) -> bool:
        return bool(self._received_at or self._acknowledged)

    def take(self, qos: Any) -> None:
        """All that the lost connection holds and has not acknowledged."""
        qos._flush()
        self._received_at |= {tag: message.received_at for tag, message in qos._delivered.items()}
        qos._delivered.clear()
        self._idle = frozenset()

    def acknowledge(self, tag: str) -> None:
        self._acknowledged.add(tag)

    def settle(self, qos: Any, running: Set[str]) -> None:
        """Acknowledges what has ended, and gives back what does not run; to be called time and again."""
        if time.monotonic() < self._settled_at + SECONDS_TO_SEE_IDLE:
            return
        self._settled_at = time.monotonic()
        self._tell_acknowledged(qos)
        idle = self._received_at.keys() - running
        self._give_back(qos, idle & self._idle)
        self._idle = idle

    def end(self, qos: Any) -> None:
        """When nothing runs any more."""
        self._tell_acknowledged(qos)
        self._give_back(qos, set(self._received_at))

    def _tell_acknowledged(self, qos: Any) -> None:
        for tag in tuple(self._acknowledged):
            qos.forget(tag)
            self._acknowledged.discard(tag)
            self._received_at.pop(tag, None)

    def _give_back(self, qos: Any, tags: Set[str]) -> None:
        for tag in tags:
            # Later than that any worker gives it back, and another may work on it.
            if time.time() < self._received_at[tag] + qos.visibility_timeout:
                qos.restore_by_tag(tag)
            del self._received_at[tag]


left_behind = LeftBehind()
