"""The address of a database that somebody else provides, as the secret DATABASE_URL gives it."""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import parse_qs, urlsplit


def why_refused(url: str, encrypted: Collection[str], mode_is_stated: bool) -> tuple[str, str] | None:
    """The reason and the remedy, which never repeat the address. libpq takes the sslmode of the address, one of which
    must be `encrypted`, before that of PGSSLMODE (`mode_is_stated`), and plain text when nothing forbids it."""
    no_address = (
        "is external, and the secret DATABASE_URL is no address of a PostgreSQL database",
        "write it as postgresql://USER:PASSWORD@HOST:5432/DATABASE?sslmode=verify-full",
    )
    if not re.match(r"postgres(ql)?://[^\s/]+/[^\s/?]+", url):
        return no_address
    try:
        stated = parse_qs(urlsplit(url).query).get("sslmode", [])
    except ValueError:
        return no_address
    if stated and stated[-1] not in encrypted:
        return (
            "is external, and the sslmode in the secret DATABASE_URL lets the connection be in plain text",
            f"write one of {', '.join(encrypted)} there",
        )
    if not stated and not mode_is_stated:
        return (
            "is external, and nothing keeps its connection from being in plain text",
            "end the secret DATABASE_URL with ?sslmode=verify-full, or write PGSSLMODE: verify-full into app.env",
        )
    return None
