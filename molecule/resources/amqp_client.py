"""A user of RabbitMQ that tries methods of AMQP, each on a channel of its own, and says what it heard.

Runs on a server with the Python of the app's release: a question in JSON on stdin, the answer in JSON on stdout.
`{"user", "password", "mechanism", "vhost", "port", "tls": {"ca", "certificate", "key"}, "methods": [[name, …]]}`, with
paths in `tls` and a method's arguments after its name → `{"refused": reason|null, "replies": [...]}`; a reply is the
error's name, or what the method gives.
"""

from __future__ import annotations

import json
import ssl
import sys
from collections.abc import Callable
from typing import Any

import amqp


def declare(channel: Any, queue: str) -> str:
    channel.queue_declare(queue, durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"})
    return "ok"


def publish(channel: Any, exchange: str, routing_key: str) -> str:
    channel.basic_publish_confirm(amqp.Message("text"), exchange, routing_key, confirm_timeout=10)
    return "ok"


def get(channel: Any, queue: str) -> str:
    """Takes a message and gives it back."""
    message = channel.basic_get(queue)
    if not message:
        return "empty"
    channel.basic_reject(message.delivery_tag, requeue=True)
    return "message"


METHODS: dict[str, Callable[..., str]] = {"declare": declare, "publish": publish, "get": get}


def attempt(connection: Any, name: str, *arguments: str) -> str:
    channel = connection.channel()
    try:
        reply: str = METHODS[name](channel, *arguments)
        channel.close()
    except amqp.exceptions.AMQPError as error:
        return type(error).__name__
    return reply


def talk(question: dict[str, Any]) -> list[str]:
    tls = question["tls"]
    connection = amqp.Connection(
        f"localhost:{question['port']}",
        question["user"],
        question["password"],
        login_method=question["mechanism"],
        virtual_host=question["vhost"],
        ssl={
            "ca_certs": tls["ca"],
            "certfile": tls["certificate"],
            "keyfile": tls["key"],
            "cert_reqs": ssl.CERT_REQUIRED,
            "server_hostname": "localhost",
        },
        connect_timeout=10,
        confirm_publish=True,
    )
    with connection:
        connection.connect()
        return [attempt(connection, *method) for method in question["methods"]]


def main() -> None:
    answer: dict[str, Any] = {"refused": None, "replies": []}
    try:
        answer["replies"] = talk(json.load(sys.stdin))
    except (amqp.exceptions.AMQPError, OSError) as error:
        answer["refused"] = type(error).__name__
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
