"""What a Redis of somebody else is asked before a release, of a real one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.broker.fitness import Asked, Fitness, fitness
from ansible_collections.stalk.celery.plugins.module_utils.broker.resp import Redis
from ansible_collections.stalk.celery.plugins.modules.external_broker import answer
from broker_servers import PASSWORD, STRANGER, endpoint, redis_server

QUEUES = ("celery", "reports")


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with redis_server(tmp_path_factory.mktemp("redis"), {"databases": "2"}) as started:
        yield started


def told(
    port: int,
    user: str = "guest",
    password: str = PASSWORD,
    database: int | str = 0,
    queues: tuple[str, ...] = QUEUES,
    host: str = "localhost",
    **tls: str,
) -> Fitness:
    url = f"rediss://{user}:{quote(password, safe='')}@{host}:{port}/{database}"
    return fitness(endpoint(url, **tls), Asked("shop", queues))


def lines(port: int, **asked: Any) -> list[str]:
    return [str(problem).replace(str(port), "PORT") for problem in told(port, **asked).problems]


def test_one_that_can_serve_is_taken_and_keeps_no_trace(port: int) -> None:
    assert told(port, user="teller") == Fitness()
    asked = endpoint(f"rediss://teller:a%2Fb%40c@localhost:{port}/0")
    with asked.connected() as connected, Redis(connected) as redis:
        redis.call("AUTH", "teller", PASSWORD)
        assert redis.call("EXISTS", "shop:stalk-check") == 0
        assert "db0" not in str(redis.call("INFO", "keyspace"))


def test_what_cannot_be_counted_is_told(port: int) -> None:
    url = f"rediss://teller:{quote(PASSWORD, safe='')}@localhost:{port}/0"
    shown = endpoint(url)
    with shown.connected() as connected, Redis(connected) as redis:
        redis.call("AUTH", "teller", PASSWORD)
        redis.call("SET", "shop:no-list", "x")
    asked = {"url": url, "protocol": "redis", "app": "shop", "queues": [], "extra_ca": "", "keys": shown.keys}
    files = {"ca": shown.ca, "certificate": shown.certificate, "key": shown.key}
    told = answer({**asked, **files, "counted": ["no-list"]})
    assert told["problems"] == [
        f"localhost:{port} does not answer as it should (WRONGTYPE Operation against a key holding the wrong kind of "
        "value); see its log"
    ]


def test_what_it_does_not_tell_is_said(port: int) -> None:
    policy = f"localhost:{port} does not tell its maxmemory-policy, which has to be noeviction"
    assert told(port) == Fitness([], [policy])


def test_a_version_that_it_does_not_tell_is_said(tmp_path: Path) -> None:
    with redis_server(tmp_path, {"rename-command": "HELLO GOODBYE"}) as port:
        assert told(port, user="teller") == Fitness()
        version = f"localhost:{port} does not tell its version (INFO and HELLO are forbidden)"
        assert version in told(port).untold


@pytest.mark.parametrize(
    ("other", "line"),
    [
        (
            {"password": "wrong"},
            "localhost:PORT does not let the user guest in (WRONGPASS invalid username-password pair or user is "
            "disabled.); correct user and password in the secret",
        ),
        (
            {"database": 2},
            "localhost:PORT does not give the database 2 (ERR DB index is out of range); end the secret with one",
        ),
        ({"host": "127.0.0.1"}, "the certificate of 127.0.0.1:PORT is not for 127.0.0.1; use a name that it has"),
        (
            {"ca": STRANGER.pair.certificate},
            "the certificate of localhost:PORT is not signed by the CA that is named (",
        ),
        ({"certificate": "", "key": ""}, "localhost:PORT asks for a client's certificate"),
        (
            {"certificate": (intruder := STRANGER.leaf("intruder")).certificate, "key": intruder.key},
            "localhost:PORT does not accept the client's certificate",
        ),
        (
            {"user": "poor"},
            "the user poor of localhost:PORT may not use BRPOP, EVALSHA, SCRIPT LOAD; let it, on the keys ~shop:* and",
        ),
        (
            {"user": "elsewhere"},
            "the user elsewhere of localhost:PORT may not use the keys shop:*, the channel "
            "shop:celery-task-meta-stalk-check, the channel shop:/0.celery.pidbox, the channel shop:/0.celeryev/*, "
            "the channel shop:/0.celeryev/worker.*; let it",
        ),
        (
            {"database": 1},
            "the user guest of localhost:PORT may not use the channel shop:/1.celeryev/*, the channel "
            "shop:/1.celeryev/worker.*; let it",
        ),
    ],
)
def test_one_that_cannot_is_told(port: int, other: dict[str, Any], line: str) -> None:
    (said,) = lines(port, **other)
    assert said.startswith(line)


def test_a_store_of_results_needs_less(port: int) -> None:
    assert told(port, user="poor", queues=()) == Fitness()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            {"maxmemory-policy": "allkeys-lru"},
            "localhost:PORT has the maxmemory-policy allkeys-lru, by which it throws messages away when it is full; "
            "set it to noeviction",
        ),
        ({"cluster-enabled": "yes"}, "localhost:PORT is a Redis Cluster, over which Celery's transactions cannot go;"),
        ({"replicaof": "127.0.0.1 1"}, "localhost:PORT is a replica, which takes no message; use the address of its"),
    ],
)
def test_one_of_another_kind_is_told(tmp_path: Path, options: dict[str, str], line: str) -> None:
    with redis_server(tmp_path, options) as port:
        (said,) = lines(port, user="teller")
    assert said.startswith(line)


def test_one_that_asks_for_no_certificate_is_taken(tmp_path: Path) -> None:
    with redis_server(tmp_path, {}, wants_certificates=False) as port:
        assert lines(port, certificate="", key="") == []
