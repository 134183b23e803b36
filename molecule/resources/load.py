"""Work that comes all the while."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from resources.effects import Effects, once
from resources.waiting import wait_for


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


@contextmanager
def flow(effects: Effects) -> Iterator[None]:
    """Tasks that are sent all the while; in the end each took effect once."""
    keys: list[str] = []
    with repeated(lambda: keys.extend(effects.send_effects("flow", 5, 0.5)), pause=0.5):
        wait_for("tasks run", lambda: effects.ledger(keys) if keys else None)
        yield
    assert once(effects.all_effects(keys))
