from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")


def until(condition: Callable[[], Answer], seconds: float = 30, every: float = 0.05, why: str = "") -> Answer:
    """The first true answer of `condition`; fails when there is none within `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        if answer := condition():
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {why or condition}; the last answer was {answer!r}")
        time.sleep(every)
