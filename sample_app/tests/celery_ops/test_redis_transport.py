"""The messages that the workers of a pool hold are counted, and any worker returns them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

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
