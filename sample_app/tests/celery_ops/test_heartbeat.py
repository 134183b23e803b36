"""The heartbeat file of a real worker."""

from __future__ import annotations

import signal
import threading
import time
from collections import UserDict
from collections.abc import Callable, KeysView
from functools import partial
from pathlib import Path

import pytest

from celery_ops.heartbeat import HeartbeatFile
from config.celery import app
from tests.brokers import ON_BOTH_BROKERS
from tests.celery_ops.tasks import wait_at_gate
from tests.gate import Gate
from tests.processes import Process
from tests.services import Services
from tests.waiting import until


@ON_BOTH_BROKERS
def test_tells_what_each_kind_of_pool_does_and_disappears_with_it(
    start_workers: Callable[..., list[Process]], gate: Gate
) -> None:
    pools = ("prefork", "gevent", "threads", "solo")
    workers = start_workers(*({"name": f"beats-{pool}", "pool": pool, "queues": pool} for pool in pools))
    for pool, worker in zip(pools, workers, strict=True):
        beat = worker.heartbeat
        assert beat.pop("time") > time.time() - 60
        assert beat == {
            "hostname": f"beats-{pool}@localhost",
            "concurrency": 2,
            "active": 0,
            "reserved": 0,
            "consuming": True,
        }
        wait_at_gate.apply_async((str(gate.path),), queue=pool)
    for worker in workers:
        worker.until_beating(lambda beat: bool(beat["active"] == 1))
        worker.signal(signal.SIGTERM)
    for worker in workers:
        worker.until_beating(lambda beat: not beat["consuming"])
        assert worker.heartbeat["active"] == 1
    for worker in workers:
        until(partial(worker.beats_after, worker.heartbeat["time"]), why=worker.name)
    gate.open()
    for worker in workers:
        assert worker.process.wait(30) == 0
        assert not worker.heartbeat_file.exists()


def test_beats_on_while_the_broker_is_away(start_worker: Callable[..., Process], services: Services) -> None:
    worker = start_worker()
    with services.redis.away():
        worker.until_beating(lambda beat: not beat["consuming"])
        until(partial(worker.beats_after, worker.heartbeat["time"]))
    worker.until_consuming()


@pytest.mark.parametrize("pool", ["prefork", "gevent"])
def test_beats_and_stops_although_it_has_an_event_to_send_to_a_broker_that_is_away(
    start_worker: Callable[..., Process], services: Services, pool: str
) -> None:
    worker = start_worker(pool=pool)
    worker.signal(signal.SIGSTOP)
    with services.redis.away():
        # When it goes on, the next event is due before it notices that its connection has ended.
        an_event_later = time.monotonic() + 3
        until(lambda: time.monotonic() > an_event_later)
        woken_at = time.time()
        worker.signal(signal.SIGCONT)
        until(partial(worker.beats_after, woken_at + 10), why=worker.log)
        assert worker.stop() == 0


def until_it_hears_commands() -> None:
    """A worker listens to them a moment after it consumes, and a command that comes earlier is not kept for it."""
    until(lambda: app.control.ping(destination=["worker@localhost"], timeout=1), why="it hears commands")


def test_says_that_it_does_not_consume_when_it_was_told_to_stop_that(start_worker: Callable[..., Process]) -> None:
    worker = start_worker(queues="celery")
    until_it_hears_commands()
    app.control.cancel_consumer("celery", destination=["worker@localhost"])
    worker.until_beating(lambda beat: not beat["consuming"])
    app.control.add_consumer("celery", destination=["worker@localhost"])
    worker.until_consuming()


@pytest.mark.parametrize("pool", ["prefork", "gevent", "threads", "solo"])
def test_a_blocked_main_loop_makes_it_stale(start_worker: Callable[..., Process], pool: str, gate: Gate) -> None:
    worker = start_worker(pool=pool)
    until_it_hears_commands()
    app.control.broadcast("block_main_loop", arguments={"path": str(gate.path)}, destination=["worker@localhost"])
    until(lambda: gate.arrivals, why="the loop is blocked")
    blocked_at = time.time()
    three_beats_later = time.monotonic() + 3
    until(lambda: time.monotonic() > three_beats_later)
    assert not worker.beats_after(blocked_at + 0.5)
    gate.open()
    until(partial(worker.beats_after, blocked_at + 0.5))


def test_a_full_disk_does_not_stop_the_worker(start_worker: Callable[..., Process], gate: Gate) -> None:
    worker = start_worker()
    worker.heartbeat_file.unlink()
    blocked = worker.heartbeat_file.with_name(worker.heartbeat_file.name + ".next")
    blocked.symlink_to("/dev/full")
    until(lambda: "cannot be written (No space left on device)" in worker.log)
    wait_at_gate.delay(str(gate.open())).get(timeout=30)
    blocked.unlink()
    until(worker.heartbeat_file.exists)
    assert worker.log.count("cannot be written") == 1


class Interrupted(UserDict[str, object]):
    """A content in whose middle a signal's handler removes the file."""

    def __init__(self, file: HeartbeatFile) -> None:
        super().__init__()
        self.file = file

    def keys(self) -> KeysView[str]:
        self.file.remove()
        return super().keys()


def test_a_handler_removes_the_file_that_its_signal_keeps_from_being_written(tmp_path: Path) -> None:
    file = HeartbeatFile(str(tmp_path / "heartbeat"))
    writer = threading.Thread(target=file.write, args=(Interrupted(file),), daemon=True)
    writer.start()
    writer.join(10)
    assert not writer.is_alive()
    assert list(tmp_path.iterdir()) == []
