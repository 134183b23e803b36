"""Routes that a name alone cannot tell; those of the description come first (settings.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zlib import crc32

from django.conf import settings

SHARDED = "shop.import_tasks.import_rows"


def by_import(name: str, args: Sequence[Any], *_: Any, **__: Any) -> dict[str, str] | None:
    """All parts of one import go to one of the queues, where a pool of one process does them in their order.

    A description without SHOP_IMPORT_QUEUES has no such queue, and no message goes there.
    """
    if name != SHARDED or not settings.SHOP_IMPORT_QUEUES:
        return None
    return {"queue": shard_of(args[0], settings.SHOP_IMPORT_QUEUES)}


def shard_of(key: object, queues: Sequence[str]) -> str:
    """The same in every process, unlike Python's own hash of a text."""
    return queues[crc32(str(key).encode()) % len(queues)]
