"""Tables of figures as aligned text, and the same as JSON under build/bench/."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "bench"


@dataclass(frozen=True)
class Figure:
    """One measured value beside its peer's; `met` is None where no aim was set."""

    what: str
    stalk: str
    peer: str = ""
    ratio: str = ""
    aim: str = ""
    met: bool | None = None

    def cells(self) -> list[str]:
        verdict = {True: "met", False: "missed", None: ""}[self.met]
        return [self.what, self.stalk, self.peer, self.ratio, self.aim, verdict]


@dataclass
class Table:
    name: str
    title: str
    columns: tuple[str, str, str]
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def text(self) -> str:
        what, stalk, peer = self.columns
        rows = [[what, stalk, peer, "ratio", "aim", "aim is"], *(figure.cells() for figure in self.figures)]
        notes = [f"  {note}" for note in self.notes]
        return "\n".join([self.title, "", *aligned(rows), "", *notes])

    def save(self) -> None:
        BUILD.mkdir(parents=True, exist_ok=True)
        content = {"date": today(), "machine": machine(), **asdict(self)}
        (BUILD / f"{self.name}.json").write_text(json.dumps(content, indent=2) + "\n")


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines with columns of equal width; the first is a heading and gets a rule under it."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    rule = "  " + "  ".join("-" * width for width in widths)
    return [line.rstrip() for line in [lines[0], rule, *lines[1:]]]


def today() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown processor"
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB, Linux {platform.release()}"
