"""dead_letters.py ADDRESS VHOST [POOL...]: puts the dead letters of pools back into the queues that they came from.

Each is taken from `@dead.<pool>`, published as a new message to its queue, and acknowledged only when RabbitMQ has
confirmed the new one. Whatever ends this in between, nothing is lost; one message may then be in both places, and is
put back once more. Login on stdin, `user:password`. CELERY_TLS_CA, CELERY_TLS_CERT and CELERY_TLS_KEY name the files.
"""

from __future__ import annotations

import os
import re
import ssl
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import amqp
from amqp import sasl
from amqp.exceptions import AMQPError, ChannelError, MessageNacked, NotFound

DEAD = "@dead."
SECONDS = 60
# As the move from another RabbitMQ notes the death.
DEATH = "x-stalk-death"
# What was written on the message there; with it the next death would be a further one.
OF_A_DEATH = re.compile(
    rf"x-death|x-(first|last)-death-(queue|reason|exchange)|x-delivery-count|x-acquired-count|{DEATH}"
)


class NoPool(Exception):
    """A pool that has no queue of dead letters."""


@dataclass(frozen=True)
class Letter:
    queue: str
    reason: str
    task: str
    id: str

    @classmethod
    def of(cls, message: Any) -> Letter:
        headers = message.headers or {}
        # The latest death comes first (rabbitmq.com/docs/dlx).
        death: Mapping[str, Any] = next(iter(headers.get("x-death") or [headers.get(DEATH) or {}]))
        said = (death.get("queue"), death.get("reason"), headers.get("task"), headers.get("id"))
        return cls(*(str(each or "") for each in said))

    def __str__(self) -> str:
        return f"{self.task or 'no task'} {self.id}".strip() + f", of queue {self.queue or 'unknown'} ({self.reason})"


@dataclass
class Way:
    """What became of a pool's dead letters: by queue how many are there again, and why the others stay."""

    back: Counter[str] = field(default_factory=Counter)
    stay: Counter[str] = field(default_factory=Counter)


@contextmanager
def connected(
    address: str, vhost: str, user: str, password: str, files: Mapping[str, str]
) -> Iterator[amqp.Connection]:
    connection = amqp.Connection(
        address,
        # Whichever of the two RabbitMQ offers; with EXTERNAL the user is the common name of the certificate.
        authentication=(sasl.PLAIN(user, password), sasl.EXTERNAL()),
        virtual_host=vhost,
        ssl={**files, "cert_reqs": ssl.CERT_REQUIRED, "server_hostname": address.rpartition(":")[0]},
        connect_timeout=SECONDS,
        read_timeout=SECONDS,
        write_timeout=SECONDS,
        confirm_publish=True,
    )
    with connection:
        yield connection


def taken(channel: Any, pool: str, most: int | None = None) -> Iterator[Any]:
    """The dead letters that are there now, not acknowledged."""
    try:
        count = channel.queue_declare(f"{DEAD}{pool}", passive=True).message_count
    except NotFound:
        raise NoPool(pool) from None
    channel.auto_decode = False
    for _ in range(count if most is None else min(count, most)):
        message = channel.basic_get(f"{DEAD}{pool}")
        if message is None:
            return
        yield message


def look(connection: Any, pool: str, most: int) -> list[Letter]:
    """The first of them; they return to their place with the end of the channel."""
    with connection.channel() as channel:
        return [Letter.of(message) for message in taken(channel, pool, most)]


def put_back(connection: Any, pool: str) -> Way:
    """Those that stay return to their place with the end of the channel, so that none is taken twice."""
    way = Way()
    with connection.channel() as source:
        for message in taken(source, pool):
            letter = Letter.of(message)
            if why := why_not_published(connection, letter.queue, message):
                way.stay[why] += 1
            else:
                source.basic_ack(message.delivery_tag)
                way.back[letter.queue] += 1
    return way


def why_not_published(connection: Any, queue: str, message: Any) -> str:
    """Publishes it, as a new message, to a queue, whose exchange has its name. Empty once RabbitMQ has it."""
    if not queue:
        return "does not say which queue it came from"
    properties = dict(message.properties)
    headers = properties.pop("application_headers", None) or {}
    kept = {name: value for name, value in headers.items() if not OF_A_DEATH.fullmatch(name)}
    properties["delivery_mode"] = 2
    again = amqp.Message(message.body, application_headers=kept, **properties)
    returned: list[Exception] = []
    channel = connection.channel()
    channel.events["basic_return"].add(lambda error, *_: returned.append(error))
    try:
        channel.basic_publish_confirm(again, queue, queue, mandatory=True, confirm_timeout=SECONDS)
    except MessageNacked:
        return f"queue {queue} takes no more"
    except ChannelError as error:
        return f"queue {queue} cannot be sent to: {error.reply_text}"
    finally:
        # A refusal has ended it already.
        with suppress(ChannelError):
            channel.close()
    return f"queue {queue} is not there" if returned else ""


def main(address: str, vhost: str, *pools: str) -> int:
    user, _, password = sys.stdin.readline().rstrip("\n").partition(":")
    names = {"ca_certs": "CELERY_TLS_CA", "certfile": "CELERY_TLS_CERT", "keyfile": "CELERY_TLS_KEY"}
    files = {option: os.environ[name] for option, name in names.items()}
    stay = 0
    try:
        with connected(address, vhost, user, password, files) as connection:
            for pool in pools:
                way = put_back(connection, pool)
                for queue, count in way.back.items():
                    print(f"{pool}: {count} put back into queue {queue}", flush=True)
                for why, count in way.stay.items():
                    print(f"{pool}: {count} stay: {why}", flush=True)
                stay += way.stay.total()
    except NoPool as error:
        sys.exit(f"pool {error}: RabbitMQ has no queue {DEAD}{error}")
    except (AMQPError, OSError) as error:
        sys.exit(f"RabbitMQ at {address}: {error or type(error).__name__}; run it again, what is not put back stays")
    return 1 if stay else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
