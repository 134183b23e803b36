"""Aligned columns for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH = 100
GAP = "  "
UNITS = ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s"))


def aligned(
    rows: Sequence[Sequence[str]], right: Sequence[int] = (), elastic: int = 1, width: int = WIDTH
) -> list[str]:
    """One line for each row. The columns in `right` are flush right; the column `elastic` gives way to the width."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - width
    if excess > 0:
        widths[elastic] = max(8, widths[elastic] - excess)
    lines = []
    for row in rows:
        cells = [shortened(cell, size) for cell, size in zip(row, widths, strict=True)]
        padded = [
            cell.rjust(size) if column in right else cell.ljust(size)
            for column, (cell, size) in enumerate(zip(cells, widths, strict=True))
        ]
        lines.append(GAP.join(padded).rstrip())
    return lines


def shortened(text: str, size: int) -> str:
    return text if len(text) <= size else text[: size - 1] + "…"


def span(seconds: float) -> str:
    """A length of time as a person says it: 45s, 12m03s, 2h05m, 12d, 3d04h."""
    whole = max(0, int(seconds))
    for size, unit, smaller, smaller_unit in UNITS:
        if whole >= size:
            rest = whole % size // smaller
            return (
                f"{whole // size}{unit}{rest:02d}{smaller_unit}"
                if rest and whole < 10 * size
                else f"{whole // size}{unit}"
            )
    return f"{whole}s"


def amount(size: float) -> str:
    """Bytes as a person says them: 1.2M."""
    for unit in ("B", "K", "M", "G"):
        if size < 1024 or unit == "G":
            return f"{size:.0f}{unit}" if unit == "B" or size >= 100 else f"{size:.1f}{unit}"
        size /= 1024
    raise AssertionError
