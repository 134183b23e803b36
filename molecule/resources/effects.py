"""Tasks whose starts and effects the shop's ledger counts, on whatever runs the shop."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from resources.waiting import SECONDS_TO_WAIT, wait_for

# The lease of the killed run, as long again from when that is noticed, and the sweeps that notice and send again.
SECONDS_UNTIL_A_LOST_MESSAGE_IS_BACK = 300


@dataclass(frozen=True)
class LedgerLine:
    starts: int
    effects: int
    worker: str


def once(ledger: Mapping[str, LedgerLine]) -> bool:
    """Whether each task took effect once; fails with those that did not."""
    others = {key: line for key, line in ledger.items() if line.effects != 1}
    assert not others, others
    return True


def listed(keys: Iterable[str]) -> str:
    """As SQL has a list of texts."""
    return ", ".join(f"'{key}'" for key in keys)


class Effects(ABC):
    @abstractmethod
    def django(self, code: str) -> str:
        """The output of Python code that runs with the web process's environment and secrets."""

    @abstractmethod
    def touch(self, path: str) -> None:
        """Makes a file where `django` runs."""

    @abstractmethod
    def sql(self, query: str) -> list[list[str]]:
        """Rows of the app's database, as its server's superuser reads them."""

    def send_effects(
        self, name: str, count: int, seconds: float, queue: str = "celery", countdown: float | None = None
    ) -> list[str]:
        """Sends tasks whose effects the ledger counts, through the outbox; returns their keys."""
        return self._send("apply_async_on_commit", name, count, seconds, queue, countdown)

    def send_plain(
        self, name: str, count: int, seconds: float, queue: str = "celery", countdown: float | None = None
    ) -> list[str]:
        """The same without the outbox: nobody sends them again."""
        return self._send("apply_async", name, count, seconds, queue, countdown)

    def _send(self, by: str, name: str, count: int, seconds: float, queue: str, countdown: float | None) -> list[str]:
        run = uuid.uuid4().hex[:8]
        keys = [f"{name}-{run}-{number}" for number in range(count)]
        self.django(
            "import config.celery\n"
            "from django.db import transaction\n"
            "from shop.tasks import record_effect\n"
            "with transaction.atomic():\n"
            f"    for key in {keys!r}:\n"
            f"        record_effect.{by}((key, {seconds}), queue={queue!r}, countdown={countdown!r})\n"
        )
        return keys

    def unsent(self, keys: Iterable[str]) -> int:
        """How many of the tasks with these keys the broker has not taken."""
        ((count,),) = self.sql(
            f"SELECT count(*) FROM celery_ops_outboxmessage WHERE sent_at IS NULL AND args->>0 IN ({listed(keys)})"
        )
        return int(count)

    def ledger(self, keys: Iterable[str]) -> dict[str, LedgerLine]:
        """What the tasks with these keys did so far."""
        rows = self.sql(f"SELECT key, starts, effects, worker FROM shop_ledgerentry WHERE key IN ({listed(keys)})")
        return {key: LedgerLine(int(starts), int(effects), worker) for key, starts, effects, worker in rows}

    def all_effects(self, keys: Iterable[str], seconds: float = SECONDS_TO_WAIT) -> dict[str, LedgerLine]:
        """The ledger once every task took effect."""
        wanted = list(keys)

        def complete() -> dict[str, LedgerLine]:
            ledger = self.ledger(wanted)
            return ledger if sum(line.effects > 0 for line in ledger.values()) == len(wanted) else {}

        try:
            return wait_for(f"{len(wanted)} tasks take effect", complete, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; ledger: {self.ledger(wanted)}") from None
