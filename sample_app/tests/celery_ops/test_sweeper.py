"""The thread in which beat sweeps the outbox."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from celery_ops import sweep, sweeper
from celery_ops.sweep import Swept
from celery_ops.sweeper import SECONDS_BETWEEN_SWEEPS, SECONDS_BETWEEN_TRIES, Sweeper
from config.celery import app
from tests.waiting import until

NOTHING = Swept(sent=0, forgotten=0, is_left=False)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sweeps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the threads that swept."""
    names: list[str] = []

    def note(app: object) -> Swept:
        names.append(threading.current_thread().name)
        return NOTHING

    monkeypatch.setattr(sweep, "sweep", note)
    return names


@pytest.fixture
def start() -> Iterator[Callable[..., Sweeper]]:
    started: list[Sweeper] = []

    def start(may_sweep: Callable[[], bool] = lambda: True, seconds: float = 0.01) -> Sweeper:
        started.append(Sweeper(app, may_sweep, seconds))
        started[-1].start()
        return started[-1]

    yield start
    for each in started:
        each.stop()


def test_it_sweeps_again_and_again_beside_the_caller_until_it_is_stopped(
    sweeps: list[str], start: Callable[..., Sweeper]
) -> None:
    running = start()
    running.start()
    until(lambda: len(sweeps) >= 3)
    assert set(sweeps) == {"sweeper"}
    running.stop()
    ended_with = len(sweeps)
    running.start()
    assert not any(thread.name == "sweeper" for thread in threading.enumerate())
    assert len(sweeps) == ended_with


def test_a_thread_that_ended_is_started_again(monkeypatch: pytest.MonkeyPatch, start: Callable[..., Sweeper]) -> None:
    calls: list[str] = []

    def end(_: object) -> None:
        calls.append("sweep")
        raise SystemExit

    monkeypatch.setattr(sweep, "sweep", end)
    running = start()
    until(lambda: not any(thread.name == "sweeper" for thread in threading.enumerate()))
    running.start()
    until(lambda: len(calls) == 2)


def test_it_sweeps_only_while_it_may(sweeps: list[str], start: Callable[..., Sweeper]) -> None:
    asked: list[bool] = []

    def may_sweep() -> bool:
        asked.append(len(asked) >= 5)
        return asked[-1]

    start(may_sweep)
    until(lambda: sweeps)
    assert asked.index(True) == 5


def test_a_sweep_that_fails_is_not_the_last(monkeypatch: pytest.MonkeyPatch, start: Callable[..., Sweeper]) -> None:
    tries: list[int] = []

    def fail(app: object) -> Swept:
        tries.append(len(tries))
        raise OSError("the database is away")

    monkeypatch.setattr(sweep, "sweep", fail)
    start()
    until(lambda: len(tries) >= 2)


@pytest.mark.parametrize(
    ("found", "pause"),
    [
        (NOTHING, SECONDS_BETWEEN_SWEEPS),
        (Swept(sent=1, forgotten=0, is_left=True), SECONDS_BETWEEN_TRIES),
        (OSError("the database is away"), SECONDS_BETWEEN_TRIES),
    ],
)
def test_what_left_something_is_soon_tried_again(
    monkeypatch: pytest.MonkeyPatch, found: Swept | Exception, pause: float
) -> None:
    def find(app: object) -> Swept:
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(sweep, "sweep", find)
    assert Sweeper(app, lambda: True).sweep_once() == pause


def test_a_stop_does_not_wait_for_a_long_sweep(monkeypatch: pytest.MonkeyPatch, start: Callable[..., Sweeper]) -> None:
    may_end = threading.Event()
    began = threading.Event()

    def long(app: object) -> Swept:
        began.set()
        may_end.wait(30)
        return NOTHING

    monkeypatch.setattr(sweep, "sweep", long)
    monkeypatch.setattr(sweeper, "SECONDS_TO_END", 0.1)
    running = start()
    assert began.wait(10)
    running.stop()
    may_end.set()
