"""The messages that a pool holds are counted, and neither a killed worker nor an outage of the broker hides them."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from celery_ops.redis_left_behind import LeftBehind
from config.celery import app
from tests.celery_ops.tasks import wait_at_gate
from tests.conftest import worker_arguments
from tests.gate import Gate
from tests.processes import Process
from tests.services import PREFIX, Services
from tests.waiting import until

TAGS = "unacked_tags.reports"


@pytest.fixture
def scaled(start_celery: Callable[..., Process]) -> Process:
    """A worker of a pool that is scaled."""
    process = start_celery("scaled", *worker_arguments("scaled"), CELERY_UNACKED_TAGS_KEY=TAGS)
    process.until_consuming()
    return process


@pytest.fixture
def counted(services: Services) -> Callable[[], tuple[int, int]]:
    """How many messages workers hold, and how many of them the pool's do."""

    def count() -> tuple[int, int]:
        with services.redis.client() as client:
            return int(client.hlen(f"{PREFIX}unacked")), int(client.scard(f"{PREFIX}{TAGS}"))

    return count


def test_what_a_scaled_pool_holds_is_counted_until_it_is_done(
    scaled: Process, gate: Gate, counted: Callable[[], tuple[int, int]]
) -> None:
    for _ in range(3):
        wait_at_gate.delay(str(gate.path))
    until(lambda: counted() == (2, 2), why="two of its two slots are taken")
    gate.open()
    until(lambda: len(gate.arrivals) == 3, why="the third has started")
    until(lambda: counted() == (0, 0), why="nothing is held any more")


def test_a_worker_of_another_pool_returns_what_a_killed_one_held(
    scaled: Process,
    gate: Gate,
    services: Services,
    counted: Callable[[], tuple[int, int]],
    start_worker: Callable[..., Process],
) -> None:
    wait_at_gate.delay(str(gate.path))
    until(lambda: gate.arrivals, why="the task has started")
    scaled.kill()
    with services.redis.client() as client:
        (tag,) = client.smembers(f"{PREFIX}{TAGS}")
        assert client.pttl(f"{PREFIX}{TAGS}") > 0
        client.zadd(f"{PREFIX}unacked_index", {tag: 0})
    gate.open()
    start_worker("other")
    until(lambda: len(gate.arrivals) == 2, why="the task has started again")
    until(lambda: counted()[0] == 0, why="it is done")


@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent"])
def test_an_outage_of_the_broker_hides_no_message_and_runs_no_task_again(
    services: Services,
    gate: Gate,
    counted: Callable[[], tuple[int, int]],
    start_worker: Callable[..., Process],
    pool: str,
) -> None:
    worker = start_worker(pool=pool, concurrency=1)
    for seconds in (3, 3, 25):
        wait_at_gate.apply_async((str(gate.path),), countdown=seconds)
    until(lambda: counted()[0] == 3, why="the worker holds them")
    until(lambda: gate.arrivals, why="one runs, one waits in the pool, and one is not due")
    with services.redis.away():
        until(lambda: not worker.heartbeat["consuming"], why="the worker has noticed")
    until(lambda: services.redis.messages_in(), why="what is not due is given back")
    gate.open()
    # Asked one after the other, both could miss a message that a worker takes meanwhile.
    until(lambda: len(gate.arrivals) >= 3, seconds=60, why="long before the visibility timeout")
    until(lambda: counted()[0] == services.redis.messages_in() == 0, why="all is done")
    assert len(gate.arrivals) == 3
    assert worker.is_running


@pytest.fixture
def busy(gate: Gate, start_worker: Callable[..., Process]) -> Process:
    """A worker whose task waits at the gate."""
    worker = start_worker()
    wait_at_gate.delay(str(gate.path))
    until(lambda: gate.arrivals, why="the task runs")
    return worker


def test_a_lost_connection_runs_no_task_again(
    services: Services, gate: Gate, counted: Callable[[], tuple[int, int]], busy: Process
) -> None:
    with services.redis.client() as client:
        client.client_kill_filter(_type="normal", skipme=True)
    until(lambda: "Connection to broker lost" in busy.log)
    busy.until_consuming()
    wait_at_gate.delay(str(gate.path))
    until(lambda: len(gate.arrivals) == 2, why="the worker takes tasks")
    gate.open()
    until(lambda: counted()[0] == services.redis.messages_in() == 0, why="both are done")
    assert len(gate.arrivals) == 2


def test_a_worker_that_stops_after_an_outage_acknowledges_what_it_ends(
    services: Services, gate: Gate, counted: Callable[[], tuple[int, int]], busy: Process
) -> None:
    with services.redis.away():
        until(lambda: not busy.heartbeat["consuming"], why="the worker has noticed")
    busy.until_consuming()
    busy.signal(signal.SIGTERM)
    until(lambda: not busy.heartbeat["consuming"], why="it stops")
    gate.open()
    assert busy.stop() == 0
    assert (counted()[0], services.redis.messages_in()) == (0, 0)


@pytest.fixture
def left(services: Services, gate: Gate, empty_broker: None) -> LeftBehind:
    """One message, whose channel waited for the next when the broker went away."""
    wait_at_gate.delay(str(gate.path))
    left = LeftBehind()
    with app.connection_for_read() as connection:
        received: list[Any] = []
        queues = [app.amqp.queues["celery"]]
        consumer = app.amqp.TaskConsumer(connection.default_channel, queues=queues, on_message=received.append)
        with consumer:
            until(lambda: drained(connection) and received)
            drained(connection)
            left.take(connection.default_channel.qos)
            with services.redis.away():
                with suppress(*connection.connection_errors):
                    connection.collect()
                connection.close()
    return left


def drained(connection: Any) -> bool:
    with suppress(TimeoutError):
        connection.drain_events(timeout=1)
    return True


def test_what_is_left_behind_is_given_back(
    services: Services, left: LeftBehind, counted: Callable[[], tuple[int, int]]
) -> None:
    assert counted()[0] == 1
    with app.connection_for_read() as connection:
        left.end(connection.default_channel.qos)
    assert (counted()[0], services.redis.messages_in()) == (0, 1)
    assert not left


def test_what_another_worker_may_hold_by_now_is_not_given_back(
    services: Services, left: LeftBehind, counted: Callable[[], tuple[int, int]]
) -> None:
    with app.connection_for_read() as connection:
        qos = connection.default_channel.qos
        qos.visibility_timeout = 0
        left.end(qos)
    assert (counted()[0], services.redis.messages_in()) == (1, 0)
    assert not left
