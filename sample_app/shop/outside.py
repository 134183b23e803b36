"""Calls of other systems, which may be slow, busy or away, and know a repetition by its key."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import requests

CONNECT_AND_READ_SECONDS = (5, 15)
WORTH_ANOTHER_TRY = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}


class TryLater(Exception):
    """The receiver was not reached or is busy; `after` are the seconds that it asked for."""

    def __init__(self, reason: str, status: int | None = None, after: float = 0) -> None:
        super().__init__(reason)
        self.status = status
        self.after = after


class Refused(Exception):
    """The receiver will never take this message."""

    def __init__(self, status: int) -> None:
        super().__init__(f"refused with status {status}")
        self.status = status


def post(url: str, message: dict[str, Any], key: str) -> int:
    """Returns the status with which the receiver took the message."""
    try:
        with requests.post(
            url,
            json=message,
            headers={"Idempotency-Key": key},
            timeout=CONNECT_AND_READ_SECONDS,
            allow_redirects=False,
            stream=True,
        ) as answer:
            status, retry_after = answer.status_code, answer.headers.get("Retry-After", "")
    except requests.RequestException as error:
        raise TryLater(f"no answer: {type(error).__name__}") from error
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in WORTH_ANOTHER_TRY:
        raise TryLater(f"busy with status {status}", status, seconds_until(retry_after))
    if status >= HTTPStatus.MULTIPLE_CHOICES:
        raise Refused(status)
    return status


def seconds_until(retry_after: str) -> float:
    """Reads a Retry-After header, which is a number of seconds or a date (RFC 9110, 10.2.3)."""
    if retry_after.isdecimal():
        return float(retry_after)
    try:
        moment = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
