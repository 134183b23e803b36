"""What is wrong with a description, each problem one line: `path: reason; remedy [file:line]`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

Path = tuple[str | int, ...]

ANY = "*"
PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")
SHOWN_LENGTH = 40


@dataclass(frozen=True)
class Problem:
    """One refusal. `uses` are further paths whose values led to it; ANY stands for every key."""

    path: Path
    reason: str
    remedy: str
    uses: tuple[Path, ...] = ()
    # Its name in the chart's files/description/sayings.yaml, when both targets say it.
    saying: str = ""

    @property
    def text(self) -> str:
        return one_line(f"{dotted(self.path)}: {self.reason}; {self.remedy}")


class Refused(Exception):
    """The description cannot be used; `lines` say why."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = list(lines)
        super().__init__("\n".join(self.lines))


def dotted(path: Path) -> str:
    written = ""
    for key in path:
        if isinstance(key, int):
            written += f"[{key}]"
        elif PLAIN_KEY.fullmatch(key):
            written += f".{key}" if written else key
        else:
            written += f"[{quoted(key)}]"
    return written or "(whole description)"


def quoted(text: str) -> str:
    """The text in quotes, short and printable."""
    shown = text if len(text) <= SHOWN_LENGTH else text[: SHOWN_LENGTH - 1] + "…"
    return '"' + "".join(letter if letter.isprintable() else escaped(letter) for letter in shown) + '"'


def escaped(letter: str) -> str:
    """As Go's strconv.Quote has it, so that Helm says the same."""
    short = {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\v": r"\v"}.get(letter)
    return short or (f"\\u{ord(letter):04x}" if 0x80 <= ord(letter) <= 0xFF else ascii(letter)[1:-1])


def one_line(text: str) -> str:
    return " ".join(text.split())


def listed(words: Iterable[str]) -> str:
    """`a, b and c`."""
    words = list(words)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else "nothing"


def overlap(one: Path, other: Path) -> bool:
    """Whether one path is the other's or lies above or below it."""
    return all(a == b or ANY in (a, b) for a, b in zip(one, other, strict=False))
