"""The address of a broker or of a store of results that somebody else provides, as a secret gives it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

REDIS, RABBITMQ = "redis", "rabbitmq"
NAMES = {REDIS: "Redis", RABBITMQ: "RabbitMQ"}
PORTS = {REDIS: 6379, RABBITMQ: 5671}
EXAMPLES = {REDIS: "rediss://USER:PASSWORD@HOST:6379/0", RABBITMQ: "amqps://USER:PASSWORD@HOST:5671/VHOST"}
PROTOCOLS = {"redis": REDIS, "rediss": REDIS, "amqp": RABBITMQ, "amqps": RABBITMQ}
# Of each scheme that is plain text, the one that is not.
ENCRYPTED = {"redis": "rediss", "amqp": "amqps"}


class BrokerRefused(Exception):
    """One line: what is wrong with the address, and what to do. It never repeats the address."""

    def __init__(self, path: str, reason: str, remedy: str) -> None:
        self.path, self.reason, self.remedy = path, reason, remedy
        super().__init__(f"{path}: {reason}; {remedy}")


@dataclass(frozen=True)
class BrokerUrl:
    protocol: str
    host: str
    port: int
    username: str
    password: str
    # Number of the database of Redis, virtual host of RabbitMQ.
    place: str

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def where(self) -> str:
        """What tells two of them apart, without the user."""
        return f"{self.address}/{self.place}"


def read_broker_url(name: str, url: str, protocol: str, path: str = "broker.kind") -> BrokerUrl:
    """The parts of the secret `name`, which the key at `path` asks for. Plain text is refused, and what would make TLS
    verify nothing."""

    def refused(reason: str, remedy: str) -> BrokerRefused:
        return BrokerRefused(path, f"is external, and {reason}", remedy)

    example = EXAMPLES[protocol]
    no_address = refused(f"the secret {name} is no address of a {NAMES[protocol]}", f"write it as {example}")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or PORTS[protocol]
    except ValueError:
        raise no_address from None
    if parts.scheme == "sqs":
        raise refused(
            f"the secret {name} names Amazon SQS, by which Celery keeps no results and takes no commands",
            "use a Redis or a RabbitMQ, which Amazon has too (ElastiCache, Amazon MQ)",
        )
    if path == "broker.kind" and (other := PROTOCOLS.get(parts.scheme, protocol)) != protocol:
        raise BrokerRefused(
            "broker.external",
            f"is {protocol}, and the secret {name} begins with {parts.scheme}://",
            f"set it to {other}, or write the secret as {example}",
        )
    if PROTOCOLS.get(parts.scheme) != protocol or not re.fullmatch(r"[A-Za-z0-9_.:-]+", host):
        raise no_address
    place = unquote(parts.path.removeprefix("/")) or {REDIS: "0", RABBITMQ: "/"}[protocol]
    if protocol == REDIS and not place.isdecimal():
        raise no_address
    if parts.scheme in ENCRYPTED:
        raise refused(
            "nothing keeps its connection from being in plain text",
            f"begin the secret {name} with {ENCRYPTED[parts.scheme]}://",
        )
    if parts.query or parts.fragment:
        what = {REDIS: "the number of its database", RABBITMQ: "its virtual host"}[protocol]
        raise refused(
            f"options at the end of the secret {name} could switch the check of its certificate off",
            f"end it with {what}",
        )
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    if protocol == RABBITMQ and not (username and password):
        raise refused(f"the secret {name} has no user and password", f"write it as {example}")
    return BrokerUrl(protocol, host, port, username or ("default" if password else ""), password, place)
