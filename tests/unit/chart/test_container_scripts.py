"""The scripts that run in the chart's containers, on real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[3] / "helm" / "stalk" / "files" / "app"
WORKER = """
import os, signal, sys
def end(signum, frame):
    print(signal.Signals(signum).name, flush=True)
    if signal.Signals(signum).name in sys.argv[1:]:
        sys.exit(7)
for name in ("SIGTERM", "SIGQUIT"):
    signal.signal(getattr(signal, name), end)
print(f"ready {os.path.exists(os.environ['CELERY_HEARTBEAT_FILE'])}", flush=True)
while True:
    signal.pause()
"""


@pytest.fixture
def heartbeat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "heartbeat"
    monkeypatch.setenv("CELERY_HEARTBEAT_FILE", str(path))
    return path


@pytest.fixture
def beating(heartbeat: Path) -> Path:
    heartbeat.write_text('{"hostname": "high@pod", "consuming": true}')
    return heartbeat


def is_alive(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(["sh", SCRIPTS / "is-alive", *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.strip()


def test_a_fresh_heartbeat_is_alive(beating: Path) -> None:
    assert is_alive("60") == (0, "")
    assert is_alive("60", '"consuming": true') == (0, "")


def test_a_worker_that_does_not_consume_is_alive_and_not_ready(beating: Path) -> None:
    beating.write_text('{"consuming": false}')
    assert is_alive("60") == (0, "")
    assert is_alive("60", '"consuming": true') == (1, 'the heartbeat does not say "consuming": true')


def test_an_old_heartbeat_is_not_alive(beating: Path) -> None:
    old = time.time() - 90
    os.utime(beating, (old, old))
    status, said = is_alive("60")
    assert status == 1
    assert said.startswith("the heartbeat is 9")


def test_no_heartbeat_is_not_alive(heartbeat: Path) -> None:
    assert is_alive("60") == (1, "no heartbeat yet")


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Container:
    """run-worker, as a container's first process."""

    def __init__(self, ends_on: str, seconds: str, signal_name: str) -> None:
        worker = [sys.executable, "-c", WORKER, ends_on]
        command = ["sh", str(SCRIPTS / "run-worker"), seconds, signal_name, "60", *worker]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.output = self.process.stdout
        self.first_line = self.output.readline().strip()

    def freeze(self) -> None:
        (worker,) = children(self.process.pid)
        os.kill(worker, signal.SIGSTOP)

    def stop(self) -> tuple[list[str], int]:
        """What the worker heard, and how the container ended."""
        self.process.send_signal(signal.SIGTERM)
        heard = [line.strip() for line in self.output if line.startswith("SIG")]
        return heard, self.process.wait()


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    yield
    assert not children(os.getpid())


def test_a_worker_that_ends_its_tasks_hears_sigterm_alone(beating: Path) -> None:
    container = Container("SIGTERM", "60", "QUIT")
    beating.write_text("{}")
    assert container.stop() == (["SIGTERM"], 7)


def test_a_worker_whose_tasks_run_on_gives_them_back(beating: Path) -> None:
    container = Container("SIGQUIT", "1", "QUIT")
    beating.write_text("{}")
    assert container.stop() == (["SIGTERM", "SIGQUIT"], 7)


def test_a_pool_that_must_not_hear_sigquit_is_killed(beating: Path) -> None:
    container = Container("SIGQUIT", "1", "KILL")
    beating.write_text("{}")
    assert container.stop() == (["SIGTERM"], 128 + 9)


def test_a_silent_worker_gets_the_signal_at_once(heartbeat: Path) -> None:
    assert Container("SIGQUIT", "3600", "QUIT").stop() == (["SIGTERM", "SIGQUIT"], 7)


def test_a_worker_that_hangs_is_killed_long_before_its_grace_ends(heartbeat: Path) -> None:
    container = Container("SIGTERM", "3600", "QUIT")
    container.freeze()
    assert container.stop() == ([], 128 + 9)


def test_the_heartbeat_of_the_container_before_is_gone(beating: Path) -> None:
    container = Container("SIGTERM", "60", "QUIT")
    assert container.first_line == "ready False"
    # Without a heartbeat SIGQUIT follows at once, and may meet an interpreter that is ending.
    beating.write_text("{}")
    assert container.stop() == (["SIGTERM"], 7)
