"""Talks to Redis, RabbitMQ or PostgreSQL from a server, and says what it heard; to RabbitMQ also as another node would
("distribution"), and to its management API ("https").

Runs there with the system's Python: a question in JSON on stdin, the answer in JSON on stdout.
`{"kind": "redis"|"rabbitmq"|"distribution"|"https"|"postgresql", "host", "port",
"tls": {"ca", "certificate", "key"}|null, "commands": [[...]]}` → `{"refused": reason|null, "replies": [...]}`; the
members of `tls` are PEM texts, and empty ones are left out.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import sys
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

SECONDS = 10
AMQP_HEADER = b"AMQP\0\0\x09\x01"
# A frame of a method on channel 0; after its size the class connection and the method start (AMQP 0-9-1, 2.3.5).
AMQP_START = struct.pack("!BH", 1, 0), struct.pack("!HH", 10, 10)
# A name of a node, behind every flag but the one that asks for a name, and a creation number (erlang.org,
# erts/erl_dist_protocol, send_name); over TLS its length has four bytes (ssl, inet_tls_dist.erl).
NODE = b"stranger@localhost"
ERLANG_NAME = struct.pack("!IcQIH", 15 + len(NODE), b"N", 0xDFFFFFFFF, 1, len(NODE)) + NODE
SSL_REQUEST = struct.pack("!II", 8, 80877103)


class Refused(Exception):
    """The server did not let us in."""


def context_of(tls: dict[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=tls["ca"])
    if tls["certificate"]:
        with tempfile.TemporaryDirectory() as folder:
            certificate, key = Path(folder, "certificate"), Path(folder, "key")
            certificate.write_text(tls["certificate"])
            key.write_text(tls["key"])
            context.load_cert_chain(certificate, key)
    return context


def encoded(command: list[str]) -> bytes:
    parts = [part.encode() for part in command]
    return b"".join([b"*%d\r\n" % len(parts), *(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)])


def reply_of(stream: BinaryIO) -> Any:
    line = stream.readline()
    if not line:
        raise Refused("the connection was closed")
    kind, rest = line[:1], line[1:].rstrip(b"\r\n").decode()
    if kind == b"$":
        return None if rest == "-1" else stream.read(int(rest) + 2)[:-2].decode()
    if kind == b"*":
        return [reply_of(stream) for _ in range(int(rest))]
    return f"-{rest}" if kind == b"-" else rest


def redis(connection: socket.socket, commands: list[list[str]]) -> list[Any]:
    stream = connection.makefile("rb")
    replies = []
    for command in commands:
        connection.sendall(encoded(command))
        replies.append(reply_of(stream))
    return replies


def rabbitmq(connection: socket.socket) -> list[Any]:
    """The mechanisms that the server offers for a login."""
    connection.sendall(AMQP_HEADER)
    answer = connection.recv(4096)
    if not answer:
        raise Refused("the connection was closed")
    if (answer[:3], answer[7:11]) != AMQP_START:
        raise Refused(repr(answer))
    return [name for name in ("PLAIN", "AMQPLAIN", "EXTERNAL", "ANONYMOUS") if name.encode() in answer]


def distribution(connection: socket.socket) -> list[Any]:
    """What the node says before it asks for the cookie."""
    connection.sendall(ERLANG_NAME)
    answer = connection.recv(4096)
    if answer[4:5] != b"s":
        raise Refused(repr(answer) if answer else "the connection was closed")
    return [answer[5:7].decode()]


def https(connection: socket.socket) -> list[Any]:
    """The status of an answer to who has no password."""
    connection.sendall(b"GET /api/overview HTTP/1.0\r\n\r\n")
    answer = connection.recv(4096)
    if not answer.startswith(b"HTTP/"):
        raise Refused(repr(answer) if answer else "the connection was closed")
    return [answer.split()[1].decode()]


def postgresql(connection: socket.socket) -> list[Any]:
    """The first answer to a login: a demand for the password, or the error."""
    parameters = b"user\0shop\0database\0shop\0\0"
    connection.sendall(struct.pack("!II", 8 + len(parameters), 196608) + parameters)
    answer = connection.recv(4096)
    if answer[:1] == b"E":
        raise Refused(answer[5:].replace(b"\0", b" ").decode(errors="replace"))
    if not answer:
        raise Refused("the connection was closed")
    return [answer[:1].decode()]


def talk(question: dict[str, Any]) -> list[Any]:
    connection = socket.create_connection((question["host"], question["port"]), timeout=SECONDS)
    if question["tls"]:
        if question["kind"] == "postgresql":
            connection.sendall(SSL_REQUEST)
            if connection.recv(1) != b"S":
                raise Refused("the server speaks no TLS")
        connection = context_of(question["tls"]).wrap_socket(connection, server_hostname=question["host"])
    if question["kind"] == "redis":
        return redis(connection, question["commands"])
    others = {"rabbitmq": rabbitmq, "distribution": distribution, "https": https, "postgresql": postgresql}
    return others[question["kind"]](connection)


def main() -> None:
    answer: dict[str, Any] = {"refused": None, "replies": []}
    try:
        answer["replies"] = talk(json.load(sys.stdin))
    except (Refused, ssl.SSLError, ConnectionError) as error:
        answer["refused"] = str(error) or type(error).__name__
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
