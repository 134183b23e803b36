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
    """Tasks with keys `PREFIX-NUMBER`, and the moments of the database's clock at which their sending began, the fault
    began and ended, and their sending ended.

    `failure` is why the fault could not be done, or that no task took effect after it."""

    prefix: str
    count: int
    began: float
    broke: float
    mended: float
    ended: float
    failure: Exception | None


@dataclass(frozen=True)
class Outcome:
    """`held` is how many tasks without effect the broker still has."""

    load: Load
    ledger: Sequence[Entry]
    held: int = 0

    @property
    def moments(self) -> list[float]:
        return sorted(entry.at for entry in self.ledger if entry.effects)

    @property
    def lost(self) -> int:
        return self.load.count - len(self.moments) - self.held

    @property
    def repeated(self) -> int:
        return sum(max(entry.starts - 1, 0) for entry in self.ledger)

    @property
    def extra(self) -> int:
        return sum(max(entry.effects - 1, 0) for entry in self.ledger)

    @property
    def lull(self) -> float:
        """The longest time without an effect while tasks were sent."""
        began, ended = self.load.began, self.load.ended
        while_sent = [began, *(moment for moment in self.moments if began < moment < ended), ended]
        return max(later - earlier for earlier, later in pairwise(while_sent))

    @property
    def behind(self) -> float:
        """From the last send to the last effect."""
        return max([*self.moments, self.load.ended]) - self.load.ended


@dataclass(frozen=True)
class Row:
    """What a fault did to Stalk, and to the plain set-up where it happened there too."""

    fault: str
    stalk: Outcome
    plain: Outcome | None = None


def entries(effects: Effects, prefix: str) -> list[Entry]:
    return read(
        effects,
        "SELECT key, starts, effects, coalesce(extract(epoch from at), 0) FROM shop_ledgerentry "
        f"WHERE key LIKE '{prefix}-%'",
    )


def orders(effects: Effects, prefix: str) -> list[Entry]:
    """Each order that was placed; it took effect when its last step was taken, which the database allows once."""
    return read(
        effects,
        "SELECT item, 1, (state = 'notified')::int, coalesce(extract(epoch from max(at)), 0) "
        "FROM shop_order LEFT JOIN shop_orderevent ON order_id = shop_order.id "
        f"WHERE item LIKE '{prefix}-%' GROUP BY shop_order.id",
    )


def read(effects: Effects, query: str) -> list[Entry]:
    rows = effects.sql(query)
    return [
        Entry(int(key.rpartition("-")[2]), int(starts), int(effects), float(at)) for key, starts, effects, at in rows
    ]


def done(effects: Effects, prefixes: Sequence[str]) -> int:
    """How many tasks of these loads took effect."""
    keys = f"'^({'|'.join(prefixes)})-'"
    ((count,),) = effects.sql(
        f"SELECT (SELECT count(*) FROM shop_ledgerentry WHERE effects > 0 AND key ~ {keys})"
        f" + (SELECT count(*) FROM shop_order WHERE state = 'notified' AND item ~ {keys})"
    )
    return int(count)


def last_effect(effects: Effects, prefix: str) -> float:
    """When a task with this prefix last took effect; 0 when none did."""
    ((moment,),) = effects.sql(
        f"SELECT coalesce(extract(epoch from max(at)), 0) FROM shop_ledgerentry WHERE key LIKE '{prefix}-%'"
    )
    return float(moment)


def now(effects: Effects) -> float:
    ((moment,),) = effects.sql("SELECT extract(epoch from clock_timestamp())")
    return float(moment)


def table(rows: Sequence[Row]) -> list[str]:
    """The columns of the plain set-up are there when it was."""
    beside = any(row.plain for row in rows)
    head = ("fault", "sent", "lost", "repeated", "extra", "lull", "last after")
    plain_head = ("plain: sent", "lost", "held", "extra", "lull") if beside else ()
    lines = [(*head, *plain_head), *((*cells(row), *(plain_cells(row.plain) if beside else ())) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            text.ljust(width) if place == 0 else text.rjust(width)
            for place, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]


def cells(row: Row) -> tuple[str, ...]:
    stalk = row.stalk
    counts = map(str, (stalk.load.count, stalk.lost, stalk.repeated, stalk.extra))
    return row.fault, *counts, f"{stalk.lull:.1f} s", f"{stalk.behind:.0f} s"


def plain_cells(plain: Outcome | None) -> tuple[str, ...]:
    if plain is None:
        return ("",) * 5
    return *map(str, (plain.load.count, plain.lost, plain.held, plain.extra)), f"{plain.lull:.1f} s"
