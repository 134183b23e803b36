"""`make cells`: writes docs/brokers.md's table of what the last `make test` or `make test-all` saw, a line for each
combination of broker, topology and target. A line of which those tests said nothing stays."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REPORTS = ROOT / "build" / "test"
PAGE = ROOT / "docs" / "brokers.md"
BEGIN, END = "<!-- cells: written by `make cells` -->\n", "<!-- end of cells -->\n"


@dataclass
class Seen:
    passed: int = 0
    failed: int = 0

    @property
    def verdict(self) -> str:
        return f"{self.passed} passed" + (f", {self.failed} failed" if self.failed else "")


def cells(reports: Iterable[ElementTree.Element]) -> dict[str, Seen]:
    """Each combination that a test of these JUnit reports names, with what its tests did, each when it last ran."""
    is_broken: dict[tuple[str, str, str], bool] = {}
    for report in reports:
        for case in report.iter("testcase"):
            for named in case.iter("property"):
                if named.get("name") == "cell" and case.find("skipped") is None:
                    test = (str(named.get("value")), case.get("classname", ""), case.get("name", ""))
                    is_broken[test] = case.find("failure") is not None or case.find("error") is not None
    seen: dict[str, Seen] = {}
    for (cell, *_), broken in is_broken.items():
        of_cell = seen.setdefault(cell, Seen())
        of_cell.failed += broken
        of_cell.passed += not broken
    return seen


def written(page: str) -> dict[str, str]:
    """Cell to verdict of the table that the page has, below its two lines of heading."""
    lines = page.partition(BEGIN)[2].partition(END)[0].splitlines()[2:]
    found = (line.removeprefix("| ").removesuffix(" |").rpartition(" | ") for line in lines)
    return {cell: verdict for cell, _, verdict in found}


def table(verdicts: dict[str, str]) -> str:
    rows = [f"| {cell} | {verdict} |" for cell, verdict in sorted(verdicts.items())]
    return "\n".join(["| broker | topology | where | tests |", "|---|---|---|---|", *rows]) + "\n"


def with_seen(page: str, seen: dict[str, Seen]) -> str:
    """The page, with the lines of what was seen."""
    before, _, rest = page.partition(BEGIN)
    verdicts = written(page) | {cell: of_cell.verdict for cell, of_cell in seen.items()}
    return f"{before}{BEGIN}{table(verdicts)}{END}{rest.partition(END)[2]}"


def main() -> int:
    found = sorted(REPORTS.glob("*.xml"), key=lambda file: file.stat().st_mtime)
    seen = cells(ElementTree.parse(file).getroot() for file in found)
    if not seen:
        print(f"{REPORTS.relative_to(ROOT)} has no report of a deployed broker; run `make test` first", file=sys.stderr)
        return 1
    PAGE.write_text(with_seen(PAGE.read_text(), seen))
    print(table({cell: of_cell.verdict for cell, of_cell in seen.items()}), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
