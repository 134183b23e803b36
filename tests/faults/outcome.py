"""What a fault did to the tasks that were sent while it happened, as the ledger tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from resources.effects import Effects


@dataclass(frozen=True)
class Entry:
    """A task of the ledger; `at` is when it last took effect, in seconds."""

    number: int
    starts: int
    effects: int
    at: float


@dataclass(frozen=True)
class Load:
    """Tasks with keys `PREFIX-NUMBER`, all sent between two moments of the database's clock."""

    prefix: str
    count: int
    began: float
    ended: float


@dataclass(frozen=True)
class Outcome:
    fault: str
    sent: int
    lost: int
    repeated: int
    extra: int
    lull: float
    behind: float

    @property
    def is_good(self) -> bool:
        return self.lost == 0 and self.extra == 0


def entries(effects: Effects, prefix: str) -> list[Entry]:
    rows = effects.sql(
        "SELECT key, starts, effects, coalesce(extract(epoch from at), 0) FROM shop_ledgerentry "
        f"WHERE key LIKE '{prefix}-%'"
    )
    return [
        Entry(int(key.rpartition("-")[2]), int(starts), int(effects), float(at)) for key, starts, effects, at in rows
    ]


def last_effect(effects: Effects, prefix: str) -> float:
    """When a task with this prefix last took effect; 0 when none did."""
    ((moment,),) = effects.sql(
        f"SELECT coalesce(extract(epoch from max(at)), 0) FROM shop_ledgerentry WHERE key LIKE '{prefix}-%'"
    )
    return float(moment)


def now(effects: Effects) -> float:
    ((moment,),) = effects.sql("SELECT extract(epoch from clock_timestamp())")
    return float(moment)


def outcome(fault: str, load: Load, ledger: Sequence[Entry]) -> Outcome:
    done = [entry for entry in ledger if entry.effects]
    moments = sorted(entry.at for entry in done)
    while_sent = [load.began, *(moment for moment in moments if moment < load.ended), load.ended]
    return Outcome(
        fault,
        sent=load.count,
        lost=load.count - len(done),
        repeated=sum(max(entry.starts - 1, 0) for entry in ledger),
        extra=sum(max(entry.effects - 1, 0) for entry in ledger),
        lull=max(later - earlier for earlier, later in pairwise(while_sent)),
        behind=max([*moments, load.ended]) - load.ended,
    )


def table(outcomes: Sequence[Outcome]) -> list[str]:
    head = ("fault", "sent", "lost", "repeated", "extra", "lull", "last after")
    rows = [
        (
            each.fault,
            str(each.sent),
            str(each.lost),
            str(each.repeated),
            str(each.extra),
            f"{each.lull:.1f} s",
            f"{each.behind:.0f} s",
        )
        for each in outcomes
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return [
        "  ".join(
            text.ljust(width) if place == 0 else text.rjust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (head, *rows)
    ]
