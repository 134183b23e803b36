"""Waits on conditions."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

SECONDS_TO_WAIT = 90
Answer = TypeVar("Answer")


def wait_for(promise: str, look: Callable[[], Answer | None], seconds: float = SECONDS_TO_WAIT) -> Answer:
    """The first true answer of `look`; fails with `promise` and the last answer when none comes in time."""
    deadline = time.monotonic() + seconds
    while not (answer := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {promise}; last seen: {answer!r}")
        time.sleep(0.3)
    return answer
