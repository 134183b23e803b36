"""As much of AMQP 0-9-1 as checking and counting takes, without a package: every broker check runs before a release is
there. Numbers and fields are those of rabbitmq.com/amqp-0-9-1-reference."""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from types import TracebackType
from typing import Any

METHOD_FRAME, HEARTBEAT_FRAME, FRAME_END = 1, 8, b"\xce"
LARGEST_FRAME = 131072

CONNECTION_START, CONNECTION_START_OK = (10, 10), (10, 11)
CONNECTION_TUNE, CONNECTION_TUNE_OK = (10, 30), (10, 31)
CONNECTION_OPEN, CONNECTION_OPEN_OK = (10, 40), (10, 41)
CONNECTION_CLOSE = (10, 50)
CHANNEL_OPEN, CHANNEL_CLOSE, CHANNEL_CLOSE_OK = (20, 10), (20, 40), (20, 41)
EXCHANGE_DECLARE = (40, 10)
QUEUE_DECLARE, QUEUE_DECLARE_OK, QUEUE_UNBIND = (50, 10), (50, 11), (50, 50)

ACCESS_REFUSED, NOT_FOUND = 403, 404

Method = tuple[int, int]


class AmqpRefused(Exception):
    """What the broker answers instead of doing it."""

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        super().__init__(text)


class AmqpBroken(Exception):
    """An answer that is no AMQP 0-9-1, or none."""


class Amqp:
    """A connection to one virtual host. Each method has a channel of its own, as an error ends the channel."""

    def __init__(self, connected: socket.socket, username: str, password: str, vhost: str) -> None:
        self._socket = connected
        self._incoming = connected.makefile("rb")
        self._channel = 0
        self.properties: dict[str, Any] = {}
        self._open(username, password, vhost)

    def __enter__(self) -> Amqp:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._incoming.close()
        self._socket.close()

    def queue_declare(
        self, queue: str, arguments: Mapping[str, str | int] | None = None, *, passive: bool = False
    ) -> int:
        """How many messages of the queue nobody took yet."""
        fields = bytes(2) + short_text(queue) + bytes([passive | 2]) + table(arguments or {})
        _, answer = self._on_a_channel(QUEUE_DECLARE, fields)
        name_length = answer[0]
        count: int = struct.unpack_from(">I", answer, 1 + name_length)[0]
        return count

    def exchange_declare(self, exchange: str, kind: str, *, passive: bool = False) -> None:
        fields = bytes(2) + short_text(exchange) + short_text(kind) + bytes([passive | 2]) + table({})
        self._on_a_channel(EXCHANGE_DECLARE, fields)

    def queue_unbind(self, queue: str, exchange: str, routing_key: str) -> None:
        fields = bytes(2) + short_text(queue) + short_text(exchange) + short_text(routing_key) + table({})
        self._on_a_channel(QUEUE_UNBIND, fields)

    def _open(self, username: str, password: str, vhost: str) -> None:
        self._socket.sendall(b"AMQP\x00\x00\x09\x01")
        _, start = self._expect(0, CONNECTION_START)
        self.properties, _ = read_table(start, 2)
        # Without this word a wrong password is answered by silence.
        answer = table({"product": "stalk", "capabilities": {"authentication_failure_close": True}})
        login = long_text(f"\0{username}\0{password}".encode())
        self._send(0, CONNECTION_START_OK, answer + short_text("PLAIN") + login + short_text("en_US"))
        _, tune = self._expect(0, CONNECTION_TUNE)
        self._send(0, CONNECTION_TUNE_OK, tune[:6] + bytes(2))
        self._send(0, CONNECTION_OPEN, short_text(vhost) + bytes(2))
        self._expect(0, CONNECTION_OPEN_OK)

    def _on_a_channel(self, method: Method, fields: bytes) -> tuple[Method, bytes]:
        self._channel += 1
        self._send(self._channel, CHANNEL_OPEN, bytes(1))
        self._expect(self._channel, (CHANNEL_OPEN[0], CHANNEL_OPEN[1] + 1))
        self._send(self._channel, method, fields)
        answer = self._expect(self._channel, (method[0], method[1] + 1))
        self._send(self._channel, CHANNEL_CLOSE, bytes(2) + short_text("") + bytes(4))
        self._expect(self._channel, CHANNEL_CLOSE_OK)
        return answer

    def _send(self, channel: int, method: Method, fields: bytes) -> None:
        payload = struct.pack(">HH", *method) + fields
        self._socket.sendall(struct.pack(">BHI", METHOD_FRAME, channel, len(payload)) + payload + FRAME_END)

    def _expect(self, channel: int, wanted: Method) -> tuple[Method, bytes]:
        method, fields = self._receive()
        if method in (CHANNEL_CLOSE, CONNECTION_CLOSE):
            if method == CHANNEL_CLOSE:
                self._send(channel, CHANNEL_CLOSE_OK, b"")
            code: int = struct.unpack_from(">H", fields)[0]
            raise AmqpRefused(code, fields[3 : 3 + fields[2]].decode(errors="replace"))
        if method != wanted:
            raise AmqpBroken(f"it answers with method {method} instead of {wanted}")
        return method, fields

    def _receive(self) -> tuple[Method, bytes]:
        while True:
            kind, _, size = struct.unpack(">BHI", self._read(7))
            if size > LARGEST_FRAME:
                raise AmqpBroken("it speaks no AMQP 0-9-1")
            payload = self._read(size)
            if self._read(1) != FRAME_END:
                raise AmqpBroken("it speaks no AMQP 0-9-1")
            if kind == METHOD_FRAME:
                return struct.unpack_from(">HH", payload), payload[4:]
            if kind != HEARTBEAT_FRAME:
                raise AmqpBroken("it speaks no AMQP 0-9-1")

    def _read(self, size: int) -> bytes:
        data = self._incoming.read(size)
        if len(data) < size:
            raise AmqpBroken("it closes the connection")
        return data


def short_text(text: str) -> bytes:
    encoded = text.encode()
    return bytes([len(encoded)]) + encoded


def long_text(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def table(entries: Mapping[str, Any]) -> bytes:
    return long_text(b"".join(short_text(name) + field(value) for name, value in entries.items()))


def field(value: str | int | bool | Mapping[str, Any]) -> bytes:
    if isinstance(value, bool):
        return b"t" + bytes([value])
    if isinstance(value, int):
        return b"I" + struct.pack(">i", value)
    return b"S" + long_text(value.encode()) if isinstance(value, str) else b"F" + table(value)


def read_table(data: bytes, start: int) -> tuple[dict[str, Any], int]:
    """The table at this place, and where it ends."""
    end = start + 4 + struct.unpack_from(">I", data, start)[0]
    found, place = {}, start + 4
    while place < end:
        name_end = place + 1 + data[place]
        found[data[place + 1 : name_end].decode()], place = read_field(data, name_end)
    return found, end


NUMBERS = {"t": ">?", "b": ">b", "B": ">B", "s": ">h", "u": ">H", "I": ">i", "i": ">I", "l": ">q", "d": ">d", "T": ">Q"}


def read_field(data: bytes, start: int) -> tuple[Any, int]:
    kind, place = chr(data[start]), start + 1
    if kind == "F":
        return read_table(data, place)
    if kind == "V":
        return None, place
    if kind in NUMBERS:
        return struct.unpack_from(NUMBERS[kind], data, place)[0], place + struct.calcsize(NUMBERS[kind])
    end = place + 4 + struct.unpack_from(">I", data, place)[0]
    # Texts, and lists, of which nothing is asked here.
    return data[place + 4 : end].decode(errors="replace"), end
