"""As much of the Redis protocol as checking and counting takes, without a package."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

Reply = str | int | list["Reply"] | None
Word = str | bytes


class RedisRefused(Exception):
    """An error reply."""


class Redis:
    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._replies = connected.makefile("rb")

    @classmethod
    def on_this_host(cls, port: int, pki: Path, leaf: str, seconds: float) -> Redis:
        """The stack's own, over mutual TLS."""
        context = ssl.create_default_context(cafile=pki / "ca.crt")
        context.load_cert_chain(pki / f"{leaf}.crt", pki / f"{leaf}.key")
        plain = socket.create_connection(("localhost", port), timeout=seconds)
        return cls(context.wrap_socket(plain, server_hostname="localhost"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._replies.close()
        self._socket.close()

    def call(self, *words: Word) -> Reply:
        return self.calls([words])[0]

    def calls(self, commands: Sequence[Sequence[Word]]) -> list[Reply]:
        """Sends all commands at once, then reads their replies."""
        self._socket.sendall(b"".join(encoded(words) for words in commands))
        return [self._read() for _ in commands]

    def _read(self) -> Reply:
        line = self._replies.readline()
        if not line.endswith(b"\r\n"):
            raise RedisRefused("the connection ended before the reply")
        kind, rest = line[:1], line[1:-2].decode(errors="replace")
        if kind == b"-":
            raise RedisRefused(rest)
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        size = int(rest)
        if size < 0:
            return None
        if kind == b"$":
            return self._replies.read(size + 2)[:-2].decode(errors="replace")
        return [self._read() for _ in range(size)]


def encoded(words: Sequence[Word]) -> bytes:
    parts = [word.encode() if isinstance(word, str) else word for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


def figures(info: str) -> dict[str, str]:
    """The lines `name:value` of INFO."""
    return dict(line.split(":", 1) for line in info.splitlines() if ":" in line and not line.startswith("#"))
