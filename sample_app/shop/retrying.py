"""How the shop's tasks are tried again."""

from __future__ import annotations

from typing import Any

from django.db import OperationalError

LONGEST_WAIT = 300
"""Seconds before a retry, at most; `app.longest_eta` in stack.yml covers it."""

UNTIL_THE_DATABASE_IS_BACK: dict[str, Any] = {
    "autoretry_for": (OperationalError,),
    "max_retries": None,
    "retry_backoff": 1,
    "retry_backoff_max": LONGEST_WAIT,
    "retry_jitter": True,
}
