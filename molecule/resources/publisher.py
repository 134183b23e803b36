"""A publisher that uses no outbox, and so hears itself what the broker says."""

from __future__ import annotations

from resources.effects import Effects

SEND = """
import config.celery
from shop.tasks import noop
try:
    noop.delay()
    print("sent")
except Exception as error:
    print(error)
"""


def publisher_hears(stack: Effects, error: str) -> bool:
    """Whether it is refused with this error."""
    return error in stack.django(SEND)
