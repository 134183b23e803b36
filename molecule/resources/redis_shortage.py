"""Redis or Valkey without room: it drops nothing, publishers are told, and the outbox sends once there is room."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from resources.effects import Effects, once
from resources.waiting import wait_for

LITTLE_MEMORY = "1mb"
MEMORY_ERROR = "used memory > 'maxmemory'"
SECONDS_UNTIL_THE_OUTBOX_HAS_SENT = 300
SEND = """
import config.celery
from shop.tasks import noop
try:
    noop.delay()
    print("sent")
except Exception as error:
    print(error)
"""


@contextmanager
def shortage_without_loss(
    stack: Effects, shortage: AbstractContextManager[str], statistics: Callable[[], str]
) -> Iterator[None]:
    """A publisher hears the error that the shortage gives, the outbox keeps what is sent, and nothing is dropped.

    `statistics` are those of `INFO`.
    """
    with shortage as error:
        wait_for("a publisher is told", lambda: error in stack.django(SEND))
        keys = stack.send_effects("without-room", 3, 0)
        yield
        assert (stack.unsent(keys), stack.ledger(keys)) == (len(keys), {})
        assert "evicted_keys:0" in statistics().split()
    assert once(stack.all_effects(keys, SECONDS_UNTIL_THE_OUTBOX_HAS_SENT))
