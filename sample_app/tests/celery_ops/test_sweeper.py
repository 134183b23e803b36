"""The thread in which beat sweeps the outbox."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from celery_ops import sweep, sweeper
from celery_ops.sweep import Swept
from celery_ops.sweeper import Sweeper
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


def test_a_sweep_that_failed_or_left_something_is_soon_followed_by_another(
    monkeypatch: pytest.MonkeyPatch, start: Callable[..., Sweeper]
) -> None:
    tries: list[int] = []

    def sweep_in_vain(app: object) -> Swept:
        tries.append(len(tries))
        if len(tries) % 2:
            raise OSError("the database is away")
        return Swept(sent=0, forgotten=0, is_left=True)

    monkeypatch.setattr(sweep, "sweep", sweep_in_vain)
    monkeypatch.setattr(sweeper, "SECONDS_BETWEEN_TRIES", 0.01)
    start(seconds=3600)
    until(lambda: len(tries) >= 3)


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
