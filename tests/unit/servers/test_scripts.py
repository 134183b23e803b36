"""The scripts that systemd runs on a server, on real processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[3] / "roles" / "app" / "files"
WORKER = """
import signal, sys
def end(signum, frame):
    print(signal.Signals(signum).name, flush=True)
    if signal.Signals(signum).name in sys.argv[1:]:
        sys.exit(0)
for name in ("SIGTERM", "SIGQUIT"):
    signal.signal(getattr(signal, name), end)
print("ready", flush=True)
while True:
    signal.pause()
"""


def stop(ends_on: str, seconds: str, signal: str, more: str = "60") -> tuple[list[str], int, str]:
    """What the worker heard, how it ended, and what stop-celery said."""
    with subprocess.Popen([sys.executable, "-c", WORKER, ends_on], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout
        assert worker.stdout.readline() == "ready\n"
        stopping = subprocess.Popen(
            [SCRIPTS / "stop-celery", seconds, signal, more, str(worker.pid)], stdout=subprocess.PIPE, text=True
        )
        heard = worker.stdout.read().split()
        # systemd reaps at once; until then a process that ended still has its number.
        status = worker.wait()
        said, _ = stopping.communicate()
    return heard, status, said


def test_a_worker_that_ends_its_tasks_hears_sigterm_alone() -> None:
    assert stop("SIGTERM", "60", "QUIT") == (["SIGTERM"], 0, "")


def test_a_worker_that_does_not_end_hears_the_signal() -> None:
    heard, status, said = stop("SIGQUIT", "0", "QUIT")
    assert (heard, status) == (["SIGTERM", "SIGQUIT"], 0)
    assert "SIGQUIT" in said


def test_a_pool_that_must_not_hear_sigquit_is_killed() -> None:
    heard, status, _ = stop("SIGQUIT", "0", "KILL")
    assert (heard, status) == (["SIGTERM"], -9)


def test_a_worker_that_no_signal_ends_is_killed() -> None:
    heard, status, said = stop("", "0", "QUIT", "1")
    assert (heard, status) == (["SIGTERM", "SIGQUIT"], -9)
    assert "SIGKILL" in said


def test_a_worker_that_has_ended_already_is_no_failure() -> None:
    assert subprocess.run([SCRIPTS / "stop-celery", "60", "QUIT", "60"], check=False).returncode == 0


def test_a_process_stays_in_the_release_it_started_from(tmp_path: Path) -> None:
    for version in ("v1", "v2"):
        (tmp_path / version / "app").mkdir(parents=True)
        (tmp_path / version / "venv/bin").mkdir(parents=True)
        program = tmp_path / version / "venv/bin/show"
        program.write_text(f'#!/bin/sh\necho {version} "$@"; pwd; echo "$0"\n')
        program.chmod(0o755)
    (tmp_path / "current").symlink_to("v2")
    shown = subprocess.run(
        [SCRIPTS / "in-release", tmp_path / "current", "show", "a b"], capture_output=True, text=True, check=True
    )
    assert shown.stdout.splitlines() == ["v2 a b", f"{tmp_path}/v2/app", f"{tmp_path}/v2/venv/bin/show"]
