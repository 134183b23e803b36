"""How the shop's tasks are tried again."""

from __future__ import annotations

from typing import Any

from celery.utils.time import get_exponential_backoff_interval
from django.db import OperationalError

from shop.outside import TryLater

LONGEST_WAIT = 300
"""Seconds before a retry, at most; `app.longest_eta` in stack.yml covers it."""

MOST_ATTEMPTS = 13
"""At another system, over an hour: it is then asked no more."""

UNTIL_THE_DATABASE_IS_BACK: dict[str, Any] = {
    "autoretry_for": (OperationalError,),
    "max_retries": None,
    "retry_backoff": 1,
    "retry_backoff_max": LONGEST_WAIT,
    "retry_jitter": True,
}


def seconds_before_retry(retries: int, problem: TryLater) -> float:
    """Longer with each try, at random so that not all come at once, and not before the other side asked for it."""
    backoff: int = get_exponential_backoff_interval(1, retries, LONGEST_WAIT, full_jitter=True)
    return min(max(backoff, problem.after), LONGEST_WAIT)
