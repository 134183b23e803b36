"""`make chart-readme`: writes the table of values in helm/stalk/README.md, from the comments of values.yaml.

A key without a comment of its own has the description that its schema gives.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).resolve().parent.parent / "helm" / "stalk"
README = CHART / "README.md"
VALUES = CHART / "values.yaml"
SCHEMA = CHART / "files" / "description" / "schema.json"

HEADING = "## Values\n"
ABOUT = (
    "Maps merge deeply, lists replace, `null` removes a default. Left out is what servers alone read"
    " (`servers:`, at the top or inside a component). Types and ranges:"
    " [files/description/schema.json](files/description/schema.json)."
)
HEAD = ("| key | default | meaning |", "|---|---|---|")
OTHER_TARGET = "servers"
CODE = re.compile(r"(`[^`]*`)")


@dataclass(frozen=True)
class Row:
    path: tuple[str, ...]
    default: str
    meaning: str


class Values:
    def __init__(self, text: str, schema: dict[str, Any]) -> None:
        self.text, self.lines, self.schema = text, text.splitlines(), schema

    def rows(self) -> list[Row]:
        """A row for each key; a map in one line is one value."""
        return list(self.below(yaml.compose(self.text, Loader=yaml.SafeLoader), self.schema, ()))

    def comment(self, key: yaml.Node) -> str:
        """The lines of comment right above a key."""
        lines: list[str] = []
        for line in reversed(self.lines[: key.start_mark.line]):
            if not line.startswith(" " * key.start_mark.column + "#"):
                break
            lines.insert(0, line.strip("# "))
        return " ".join(lines)

    def resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        name = schema.get("$ref", "").removeprefix("#/$defs/")
        return {**self.schema["$defs"].get(name, {}), **schema}

    def below(self, node: Any, schema: dict[str, Any], path: tuple[str, ...]) -> Iterator[Row]:
        for key, value in node.value:
            if key.value == OTHER_TARGET:
                continue
            here = (*path, key.value)
            typed = schema.get("properties", {}).get(key.value) or schema.get("additionalProperties") or {}
            typed = self.resolved(typed)
            comment = self.comment(key)
            nested = isinstance(value, yaml.MappingNode) and not value.flow_style
            if comment or not nested:
                default = "" if nested else self.text[value.start_mark.index : value.end_mark.index]
                yield Row(here, default, comment or typed.get("description", ""))
            if nested:
                yield from self.below(value, typed, here)


def cell(text: str) -> str:
    """Text as it reads in a table of Markdown; what is code stays code."""
    parts = CODE.split(text)
    parts[::2] = [part.replace("<", "&lt;").replace("*", "\\*") for part in parts[::2]]
    return "".join(parts).replace("|", "\\|")


def table(rows: list[Row]) -> Iterator[str]:
    """A heading for each key at the top, its own meaning under it, and a row for each key below it."""
    for number, row in enumerate(rows):
        if len(row.path) == 1 or row.path[0] != rows[number - 1].path[0]:
            yield from ("", f"### {row.path[0]}", "")
            if len(row.path) == 1:
                yield from (cell(row.meaning), "")
            yield from HEAD
        if len(row.path) > 1:
            default = f"`{row.default}`" if row.default else ""
            yield f"| `{'.'.join(row.path)}` | {cell(default)} | {cell(row.meaning)} |"


def readme(before: str) -> str:
    """The page with its table made anew; what stands above the table is written by hand."""
    values = Values(VALUES.read_text(), json.loads(SCHEMA.read_text()))
    above, heading, _ = before.partition(HEADING)
    if not heading:
        sys.exit(f"{README}: the line '{HEADING.strip()}' is missing; write it where the table shall stand")
    return "\n".join([above + heading, ABOUT, *table(values.rows()), ""])


if __name__ == "__main__":
    README.write_text(readme(README.read_text()))
