"""kombu's transport for RabbitMQ, whose publishers learn what became of their message.

py-amqp 5.4 waits for the broker's confirm without an end, which a broker that is short of disk or memory gives when it
has some again; and the broker confirms what it could route to no queue (rabbitmq.com/docs/confirms).
"""

from __future__ import annotations

from contextlib import suppress
from time import monotonic
from typing import Any

from amqp.exceptions import ChannelError, MessageNacked
from celery.app import base as celery_base
from kombu.transport import TRANSPORT_ALIASES, native_delayed_delivery, pyamqp

CONFIRM_SECONDS = 5


class MessageReturned(MessageNacked):
    """No queue takes the message. Kombu's retry declares the queue again, as it does after any `MessageNacked`."""


class Channel(pyamqp.Channel):
    def basic_publish_confirm(self, message: Any, *args: Any, **options: Any) -> Any:
        returned: list[Exception] = []
        # An answer to a command or an event may go to nobody; a task may not.
        options["mandatory"] = "task" in (message.properties.get("application_headers") or {})
        options["confirm_timeout"] = options.get("confirm_timeout") or CONFIRM_SECONDS

        def note(error: Exception, *_: Any) -> None:
            returned.append(error)

        self.events["basic_return"].add(note)
        try:
            super().basic_publish_confirm(message, *args, **options)
        except MessageNacked:
            raise MessageNacked(f"the broker refuses it for {options.get('routing_key')}; is the queue full?") from None
        except ChannelError:
            raise
        except BaseException:
            # The next message would take this one's confirm for its own.
            if self.connection:
                self.connection.collect()
            raise
        finally:
            self.events["basic_return"].discard(note)
        if returned:
            raise MessageReturned(f"no queue takes it: {returned[0]}")


class Connection(pyamqp.Connection):
    Channel = Channel


class Transport(pyamqp.Transport):
    Connection = Connection

    @property
    def implements(self) -> Any:
        """Heartbeats are for a connection that has them: Celery waits up to 0.1 s for one after each message of a pool
        of greenlets (celery/worker/loops.py, synloop)."""
        return pyamqp.Transport.implements.extend(heartbeats=self.client is not None and self.client.heartbeat != 0)


class SSLTransport(Transport, pyamqp.SSLTransport):
    pass


def send_heartbeat(client: Any) -> None:
    """In place of a main loop that is held up. Any thread may: py-amqp writes one frame after another."""
    # `client.connection` would connect anew.
    connection = client and client._connection
    if not isinstance(connection, Connection) or not connection.heartbeat:
        return
    # The main loop sends one, if there is need, twice in that time.
    if monotonic() > connection.last_heartbeat_sent + connection.heartbeat:
        connection.last_heartbeat_sent = monotonic()
        # The latter of a connection that was closed meanwhile.
        with suppress(*connection.connection_errors, AttributeError):
            connection.send_heartbeat()


def routing_key_of_delay(countdown: int, routing_key: str) -> str:
    """Celery asks for a delay of 0 s when less than a second is left, and kombu refuses that."""
    return str(native_delayed_delivery.calculate_routing_key(max(countdown, 1), routing_key))


def install() -> None:
    TRANSPORT_ALIASES["amqp"] = f"{__name__}:Transport"
    TRANSPORT_ALIASES["amqps"] = f"{__name__}:SSLTransport"
    celery_base.calculate_routing_key = routing_key_of_delay
