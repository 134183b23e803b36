"""Work that comes all the while."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeated(send: Callable[[], object], pause: float = 0) -> Iterator[None]:
    """Calls `send` again and again, after a `pause` in seconds, until the block ends; fails when it failed."""
    ended = threading.Event()
    failures: list[Exception] = []

    def keep_sending() -> None:
        try:
            while not ended.wait(pause):
                send()
        except Exception as failure:
            failures.append(failure)

    sender = threading.Thread(target=keep_sending)
    sender.start()
    try:
        yield
    finally:
        ended.set()
        sender.join()
    assert not failures, failures
