"""A node of the stack's Redis or Valkey: a copy of what it has, and other data in the place of that."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from ansible_collections.stalk.celery.plugins.module_utils.broker.resp import Redis, RedisRefused

# Of redis.conf: messages, and results.
DATABASES = (0, 1)
SECONDS_TO_CONNECT = 10
# Redis writes all to its volume before it sends the first byte.
SECONDS_TO_ANSWER = 600


@dataclass(frozen=True)
class Login:
    username: str
    password: str


@dataclass(frozen=True)
class Entry:
    """A key as DUMP has it; `expires` is a time in milliseconds, or 0."""

    database: int
    key: bytes
    content: bytes
    expires: int


class Copy:
    """So many bytes of a stream."""

    def __init__(self, source: IO[bytes], size: int) -> None:
        self.source = source
        self.left = size

    def read(self, most: int = -1) -> bytes:
        block = self.source.read(self.left if most < 0 else min(most, self.left))
        if not block and self.left and most:
            raise RedisRefused("the connection ended before the copy")
        self.left -= len(block)
        return block


class Node(Redis):
    def greet(self, login: Login) -> str:
        """The server's version."""
        told = self.call("HELLO", "2", "AUTH", login.username, login.password)
        assert isinstance(told, list)
        return str(dict(zip(told[::2], told[1::2], strict=False))["version"])

    def copy(self) -> Copy:
        """An RDB of one moment, as a replica of old gets it."""
        self._socket.sendall(b"SYNC\r\n")
        # While it waits for the file it sends newlines.
        line = next((line for line in map(bytes.strip, self._replies) if line), b"")
        if line[:1] != b"$" or not line[1:].isdigit():
            raise RedisRefused(line.decode(errors="replace") or "the connection ended before the copy")
        return Copy(self._replies, int(line[1:]))

    def prepare(self, entries: Iterable[Entry]) -> int:
        """Has it hold all of them ready, for the place of what it has. How many they are."""
        self.call("MULTI")
        self.call("FLUSHALL")
        database, count = -1, 0
        for entry in entries:
            if entry.database != database:
                database = entry.database
                self.call("SELECT", str(database))
            self.call("RESTORE", entry.key, str(entry.expires), entry.content, "ABSTTL", "REPLACE")
            count += 1
        return count

    def replace(self, *, has_replicas: bool) -> None:
        """What is ready takes the place of what it has, at once. A replica that lacked it could become the primary."""
        self.call("EXEC")
        if has_replicas and not self.call("WAIT", "1", str(1000 * SECONDS_TO_ANSWER)):
            raise RedisRefused("no replica has taken what is restored")


@contextmanager
def connected(urls: str, app: str, *, to_write: bool) -> Iterator[tuple[Node, str]]:
    """The server, logged in, and its version. Behind Sentinel it is a replica where there is one, unless one wants to
    write: the Sentinels would take whoever copies the primary for a replica of it."""
    host, port, login = place(urls, app, to_write=to_write)
    context = ssl.create_default_context(cafile=os.environ["CELERY_TLS_CA"])
    context.load_cert_chain(os.environ["CELERY_TLS_CERT"], os.environ["CELERY_TLS_KEY"])
    try:
        plain = socket.create_connection((host, port), timeout=SECONDS_TO_CONNECT)
    except OSError as error:
        raise RedisRefused(f"{host}:{port} cannot be reached ({error.strerror or error})") from None
    plain.settimeout(SECONDS_TO_ANSWER)
    with Node(context.wrap_socket(plain, server_hostname=host)) as node:
        yield node, node.greet(login)


def place(urls: str, app: str, *, to_write: bool) -> tuple[str, int, Login]:
    parts = [urlsplit(url) for url in urls.split(";")]
    login = Login(unquote(parts[0].username or ""), unquote(parts[0].password or ""))
    if parts[0].scheme != "sentinel":
        return parts[0].hostname or "", parts[0].port or 0, login
    from redis.exceptions import RedisError
    from redis.sentinel import Sentinel

    options: dict[str, Any] = {
        "ssl": True,
        "socket_timeout": SECONDS_TO_CONNECT,
        "username": login.username,
        "password": login.password,
        "ssl_ca_certs": os.environ["CELERY_TLS_CA"],
        "ssl_certfile": os.environ["CELERY_TLS_CERT"],
        "ssl_keyfile": os.environ["CELERY_TLS_KEY"],
        "decode_responses": True,
    }
    sentinels = Sentinel([(part.hostname, part.port) for part in parts], sentinel_kwargs=options)
    try:
        replicas = [] if to_write else sentinels.discover_slaves(app)
        host, port = replicas[0] if replicas else sentinels.discover_master(app)
    except RedisError as error:
        raise RedisRefused(f"the Sentinels name no node ({error})") from None
    return host, port, login
