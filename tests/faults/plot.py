"""Draws how many tasks took effect in each second around each fault, as SVG."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from math import ceil, floor
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from .outcome import Outcome, Row

COLUMNS, WIDTH, HEIGHT, MARGIN = 3, 360, 150, 34
SECONDS_AFTER_THE_LAST = 30
STALK, PLAIN = "#1f6feb", "#d9480f"


def plot(rows: Sequence[Row]) -> str:
    """A panel for each fault: the line of each set-up, and below it a bar for as long as the fault was there."""
    lines = ceil(len(rows) / COLUMNS)
    size = {"width": str(COLUMNS * WIDTH), "height": str(lines * HEIGHT + MARGIN)}
    font = {"font-family": "sans-serif", "font-size": "11"}
    svg = Element("svg", size | font, xmlns="http://www.w3.org/2000/svg")
    SubElement(svg, "rect", size, fill="white")
    text(svg, 10, 18, "Tasks that took effect, by seconds after the fault began; the bar is the fault.", "black")
    text(svg, 470, 18, "Stalk", STALK)
    text(svg, 510, 18, "plain", PLAIN)
    for place, row in enumerate(rows):
        line, column = divmod(place, COLUMNS)
        panel = SubElement(svg, "g", transform=f"translate({column * WIDTH} {line * HEIGHT + MARGIN})")
        draw(panel, row)
    indent(svg)
    return tostring(svg, encoding="unicode") + "\n"


def draw(panel: Element, row: Row) -> None:
    drawn = [(row.stalk, STALK), *([(row.plain, PLAIN)] if row.plain else [])]
    series = [list(by_second(outcome)) for outcome, _ in drawn]
    first = min(points[0][0] for points in series)
    last = max(points[-1][0] for points in series)
    most = max(count for points in series for _, count in points) or 1
    bottom, top, left, right = HEIGHT - 34, 22, 30, WIDTH - 14

    def x(second: float) -> float:
        return left + (right - left) * (second - first) / max(last - first, 1)

    def y(count: float) -> float:
        return bottom - (bottom - top) * count / most

    text(panel, left, 14, row.fault, "black")
    text(panel, 6, top + 4, str(most), "gray")
    text(panel, 6, bottom, "0", "gray")
    text(panel, x(0) - 3, HEIGHT - 8, "0", "gray")
    text(panel, right - 24, HEIGHT - 8, f"{last} s", "gray")
    for place, ((outcome, colour), points) in enumerate(zip(drawn, series, strict=True)):
        line = " ".join(f"{x(second):.1f},{y(count):.1f}" for second, count in points)
        SubElement(panel, "polyline", points=line, fill="none", stroke=colour)
        began, ended = x(0), x(outcome.load.mended - outcome.load.broke)
        bar = {"x": f"{began:.1f}", "y": str(bottom + 3 + 5 * place), "width": f"{max(ended - began, 2):.1f}"}
        SubElement(panel, "rect", bar, height="4", fill=colour)


def by_second(outcome: Outcome) -> Iterator[tuple[int, int]]:
    """Each second from the first send to a while after the last, counted from the fault on, and its effects."""
    load = outcome.load
    counts = Counter(floor(moment - load.broke) for moment in outcome.moments)
    for second in range(floor(load.began - load.broke), floor(load.ended - load.broke) + SECONDS_AFTER_THE_LAST):
        yield second, counts[second]


def text(parent: Element, x: float, y: float, words: str, colour: str) -> None:
    SubElement(parent, "text", x=f"{x:.1f}", y=f"{y:.1f}", fill=colour).text = words
