"""Durations as descriptions write them: seconds, or a number with a unit."""

from __future__ import annotations

import re
from datetime import timedelta

UNITS = {"": "seconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def read_duration(written: str | int) -> timedelta:
    found = re.fullmatch(r"(\d{1,9})([smhdw]?)", str(written).strip())
    if not found:
        raise ValueError(f"'{written}' is no duration; write seconds or a number with one of s, m, h, d, w")
    return timedelta(**{UNITS[found[2]]: int(found[1])})
