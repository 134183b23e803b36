"""The address of a broker that somebody else provides, as the secret CELERY_BROKER_URL gives it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

PORT = 6379
EXAMPLE = "rediss://USER:PASSWORD@HOST:6379/0"


class BrokerRefused(Exception):
    """One line: what is wrong with the address, and what to do. It never repeats the address."""


@dataclass(frozen=True)
class BrokerUrl:
    host: str
    port: int
    username: str
    password: str
    database: int

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_broker_url(name: str, url: str) -> BrokerUrl:
    """The parts of the secret `name`. Plain text is refused, and what would make TLS verify nothing."""

    def refused(reason: str, remedy: str) -> BrokerRefused:
        return BrokerRefused(f"broker.kind: is external, and {reason}; {remedy}")

    no_address = refused(f"the secret {name} is no address of a Redis", f"write it as {EXAMPLE}")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or PORT
        database = parts.path.removeprefix("/") or "0"
    except ValueError:
        raise no_address from None
    if parts.scheme not in ("redis", "rediss") or not re.fullmatch(r"[A-Za-z0-9_.:-]+", host):
        raise no_address
    if not database.isdecimal():
        raise no_address
    if parts.scheme == "redis":
        raise refused(
            "nothing keeps its connection from being in plain text", f"begin the secret {name} with rediss://"
        )
    if parts.query or parts.fragment:
        raise refused(
            f"options at the end of the secret {name} could switch the check of its certificate off",
            "end it with the number of its database",
        )
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    return BrokerUrl(host, port, username or ("default" if password else ""), password, int(database))
