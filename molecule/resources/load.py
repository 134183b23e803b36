"""Work that comes all the while."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeated(send: Callable[[], object]) -> Iterator[None]:
    """Calls `send` again and again until the block ends, and fails as it does."""
    stop = threading.Event()
    errors: list[AssertionError] = []

    def keep_sending() -> None:
        try:
            while not stop.is_set():
                send()
        except AssertionError as error:
            errors.append(error)

    sender = threading.Thread(target=keep_sending)
    sender.start()
    try:
        yield
    finally:
        stop.set()
        sender.join()
    assert not errors, errors
