"""Server-Sent Events, within what the web can spare.

Gunicorn serves each answer by a thread and has few of them (`web.threads`), so a stream ends after some seconds and the
browser asks for the next. There is one at a time in each process; another gets what there is now, which is polling.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from threading import BoundedSemaphore
from typing import Any

from django.http import StreamingHttpResponse

SECONDS = 10
SECONDS_BETWEEN_EVENTS = 0.3
MILLISECONDS_UNTIL_THE_NEXT = 1000
NOTHING_NEW = ":\n\n"
"""A comment, without which nobody would notice that the visitor has left."""

streams = BoundedSemaphore(1)


def stream_of(progress: Callable[[], dict[str, Any]]) -> StreamingHttpResponse:
    """The progress whenever it changes, until it is at its end."""
    # nginx would keep the events back until there are many.
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingHttpResponse(events(progress), content_type="text/event-stream", headers=headers)


def events(progress: Callable[[], dict[str, Any]]) -> Iterator[str]:
    may_stay = streams.acquire(blocking=False)
    try:
        ends_at = time.monotonic() + (SECONDS if may_stay else 0)
        told: dict[str, Any] = {}
        yield f"retry: {MILLISECONDS_UNTIL_THE_NEXT}\n\n"
        while True:
            if (now := progress()) != told:
                told = now
                yield f"data: {json.dumps(now)}\n\n"
            else:
                yield NOTHING_NEW
            if not now["moving"] or time.monotonic() >= ends_at:
                return
            time.sleep(SECONDS_BETWEEN_EVENTS)
    finally:
        if may_stay:
            streams.release()
