"""What the docs quote is what Stalk says."""

from __future__ import annotations

import re

from bad_descriptions import CASES, ROOT, expected_lines

REFUSAL = re.compile(r"^`?([a-z_]+(?:[.\[][^\s:]+)+: .+; .+?)`?$", re.MULTILINE)
PLACE = re.compile(r" \[[^\]]+:[0-9]+\]$")


def test_every_refusal_in_the_docs_is_one_of_a_bad_description() -> None:
    said = {PLACE.sub("", line) for case in CASES for line in expected_lines(case)}
    quoted = {
        PLACE.sub("", line) for page in (ROOT / "docs").glob("*.md") for line in REFUSAL.findall(page.read_text())
    }
    assert quoted
    assert quoted - said == set()
