"""Reads a CSV file of products: what is wrong with the file as a whole is said at once, the rest row by row."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import StringIO
from typing import NamedTuple

COLUMNS = ["name", "price"]
MOST_BYTES = 5_000_000
MOST_ROWS = 50_000


class FileRefused(Exception):
    """Why nothing of the file is imported."""


class Line(NamedTuple):
    number: int
    name: str
    price: str
    refusal: str = ""


def lines_of(content: bytes) -> list[Line]:
    if len(content) > MOST_BYTES:
        raise FileRefused(f"The file has more than {MOST_BYTES // 1_000_000} MB; split it.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FileRefused(f"Line {line} is not UTF-8 text; save the file as UTF-8.") from None
    if "\0" in text:
        raise FileRefused("The file is not text; save it as CSV.")
    lines = list(without_repetitions(parse(text)))
    if not lines:
        raise FileRefused("The file has no rows below its first line.")
    return lines


def parse(text: str) -> Iterator[Line]:
    reader = csv.reader(StringIO(text, newline=""), strict=True)
    try:
        if [column.strip().lower() for column in next(reader, [])] != COLUMNS:
            raise FileRefused(f"The first line must be {','.join(COLUMNS)}.")
        first_line = reader.line_num + 1
        for count, row in enumerate(reader, start=1):
            if count > MOST_ROWS:
                raise FileRefused(f"The file has more than {MOST_ROWS} rows; split it.")
            if len(row) == len(COLUMNS):
                yield Line(first_line, *(value.strip() for value in row))
            elif row:
                yield Line(first_line, ",".join(row), "", f"The row has {len(row)} columns, not {len(COLUMNS)}.")
            first_line = reader.line_num + 1
    except csv.Error as error:
        raise FileRefused(f"Line {reader.line_num} is no CSV: {error}.") from None


def without_repetitions(lines: Iterator[Line]) -> Iterator[Line]:
    """Rows are imported side by side, so of two with one name nobody could say which came last."""
    seen: dict[str, int] = {}
    for line in lines:
        if not line.refusal and (first := seen.setdefault(line.name, line.number)) != line.number:
            line = line._replace(refusal=f"The same name is in line {first}.")
        yield line
