"""What a RabbitMQ of somebody else is asked before a release, of a real one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import quote

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.broker.amqp import AmqpRefused
from ansible_collections.stalk.celery.plugins.module_utils.broker.fitness import Asked, fitness, waiting
from ansible_collections.stalk.celery.plugins.module_utils.broker.rabbitmq_fitness import open_vhost
from broker_servers import STRANGER, endpoint, free_port, rabbitmq_server

PASSWORD = "a/b@c"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with rabbitmq_server(tmp_path_factory.mktemp("rabbitmq")) as started:
        yield started


def lines(
    port: int,
    *queues: str,
    user: str = "guest",
    password: str = PASSWORD,
    vhost: str = "shop",
    host: str = "localhost",
    **tls: str,
) -> list[str]:
    url = f"amqps://{user}:{quote(password, safe='')}@{host}:{port}/{vhost}"
    told = fitness(endpoint(url, **tls), Asked("shop", queues or ("celery", "reports")))
    assert told.untold == []
    return [str(problem).replace(str(port), "PORT") for problem in told.problems]


def test_one_that_can_serve_is_taken_and_nothing_is_made(port: int) -> None:
    assert lines(port, "celery", "reports") == []
    asked = endpoint(f"amqps://guest:a%2Fb%40c@localhost:{port}/shop")
    with asked.connected() as connected, open_vhost(connected, asked.url) as broker:
        for made in (broker.queue_declare, partial(broker.exchange_declare, kind="topic")):
            for name in ("reports", "celery.pidbox", "celery_delayed_0"):
                with pytest.raises(AmqpRefused, match="NOT_FOUND"):
                    made(name, passive=True)


def test_messages_are_counted(port: int) -> None:
    asked = endpoint(f"amqps://guest:a%2Fb%40c@localhost:{port}/shop")
    assert waiting(asked, "shop", ["celery", "reports"]) == {"celery": 0, "reports": 0}


@pytest.mark.parametrize(
    ("other", "line"),
    [
        (
            {"password": "wrong"},
            "localhost:PORT does not let the user guest in; correct user and password in the secret",
        ),
        ({"vhost": "other"}, "localhost:PORT does not give the user guest the virtual host other"),
        ({"host": "127.0.0.1"}, "the certificate of 127.0.0.1:PORT is not for 127.0.0.1; use a name that it has"),
        (
            {"ca": STRANGER.pair.certificate},
            "the certificate of localhost:PORT is not signed by the CA that is named (",
        ),
        ({"ca": ""}, "the certificate of localhost:PORT is not signed by a CA that this machine trusts ("),
        ({"ca": "nothing"}, "broker.servers.ca holds no PEM certificate; put the broker's CA there"),
        ({"certificate": "", "key": ""}, "localhost:PORT asks for a client's certificate"),
        (
            {"certificate": (intruder := STRANGER.leaf("intruder")).certificate, "key": intruder.key},
            "localhost:PORT does not accept the client's certificate",
        ),
        ({"key": intruder.key}, "broker.servers.certificate is no certificate with its key"),
        (
            {"user": "reader"},
            "the user reader of localhost:PORT may not configure celery and reports and celery_delayed_0 and others, "
            "write celery and reports and celery_delayed_0 and others in the virtual host shop; give it the right",
        ),
        ({"user": "poor"}, "the user poor of localhost:PORT may not configure reports in the virtual host shop; give"),
    ],
)
def test_one_that_cannot_is_told(port: int, other: dict[str, Any], line: str) -> None:
    (told,) = lines(port, **other)
    assert told.startswith(line)


def test_a_queue_and_an_exchange_of_another_type_are_told(port: int) -> None:
    assert lines(port, "classic", "loud") == [
        "the queue classic of localhost:PORT is there already, and is no durable quorum queue; "
        "remove it once it is empty, or use another name or virtual host",
        "the exchange loud of localhost:PORT is there already, and is no durable topic exchange; "
        "remove it once it is empty, or use another name or virtual host",
    ]


def test_one_that_is_not_there_is_told() -> None:
    (told,) = lines(free_port())
    assert told == "localhost:PORT cannot be reached (Connection refused); open the way to it, or correct the address"
