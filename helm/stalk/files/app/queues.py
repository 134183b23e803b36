"""Waits until RabbitMQ has the queues of this release, the login of this process and its rights to them: it takes
all within two minutes of an upgrade, and refuses before that whoever sends to a new queue.

One that does not answer is not waited for: processes start without their broker, and it has its queues when it starts.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import amqp
from amqp.exceptions import AccessRefused, AMQPError, NotFound

SECONDS = 240
SECONDS_BETWEEN_LOOKS = 2
SECONDS_TO_ANSWER = 10


def connection() -> amqp.Connection:
    url = urlsplit((Path(os.environ["CREDENTIALS_DIRECTORY"]) / "CELERY_BROKER_URL").read_text().strip())
    return amqp.Connection(
        f"{url.hostname}:{url.port}",
        unquote(url.username or ""),
        unquote(url.password or ""),
        login_method=dict(parse_qsl(url.query)).get("login_method"),
        virtual_host=url.path.removeprefix("/"),
        ssl={
            "ca_certs": os.environ["CELERY_TLS_CA"],
            "certfile": os.environ["CELERY_TLS_CERT"],
            "keyfile": os.environ["CELERY_TLS_KEY"],
            "cert_reqs": ssl.CERT_REQUIRED,
            "server_hostname": url.hostname,
        },
        connect_timeout=SECONDS_TO_ANSWER,
        read_timeout=SECONDS_TO_ANSWER,
    )


def lack(queues: Iterable[str]) -> str:
    """What RabbitMQ lacks; empty when nothing."""
    asked = "the login of this process"
    try:
        with connection() as broker:
            for queue in queues:
                asked = f"the queue {queue}"
                channel = broker.channel()
                channel.queue_declare(queue, passive=True)
                # Whoever looks needs no right, and a queue that left and comes back is there before the rights to it.
                asked = f"this process's rights to the queue {queue}"
                channel.exchange_declare(queue, "topic", durable=True, auto_delete=False)
                channel.close()
    except (AccessRefused, NotFound):
        return f"RabbitMQ does not have {asked} yet"
    except (AMQPError, OSError) as error:
        print(f"RabbitMQ does not answer ({error}), and is not waited for.")
    return ""


def main() -> None:
    queues = json.loads(os.environ["DEPLOYED_QUEUES"])
    end, told = time.monotonic() + SECONDS, ""
    while said := lack(queues):
        if time.monotonic() >= end:
            sys.exit(said)
        if said != told:
            print(f"{said}; waiting", flush=True)
            told = said
        time.sleep(SECONDS_BETWEEN_LOOKS)


if __name__ == "__main__":
    main()
