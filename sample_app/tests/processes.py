"""Celery's own processes, started as the platform starts them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.waiting import until

APP_FOLDER = Path(__file__).resolve().parent.parent
OF_EACH = {"PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"}


class Process:
    """A `celery` command, of the sample app or another; `log` is what it printed, `heartbeat` its heartbeat file."""

    def __init__(
        self,
        name: str,
        arguments: list[str],
        environment: dict[str, str],
        folder: Path,
        app: str = "tests.celery_app",
        project: Path = APP_FOLDER,
    ) -> None:
        self.name = name
        self.heartbeat_file = folder / f"{name}.heartbeat"
        self.log_file = folder / f"{name}.log"
        self._log = self.log_file.open("ab")
        inherited = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", app, *arguments],
            cwd=project,
            env=inherited | environment | OF_EACH | {"CELERY_HEARTBEAT_FILE": str(self.heartbeat_file)},
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.pid = self.process.pid

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    @property
    def heartbeat(self) -> dict[str, Any]:
        """What the heartbeat file says; {} when there is none."""
        try:
            beat: dict[str, Any] = json.loads(self.heartbeat_file.read_text())
        except FileNotFoundError:
            return {}
        return beat

    def beats_after(self, moment: float) -> bool:
        return bool(self.heartbeat.get("time", 0) > moment)

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def until_beating(self, is_ready: Callable[[dict[str, Any]], bool] = bool, seconds: float = 60) -> None:
        def ready() -> bool:
            if not self.is_running:
                raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.log}")
            beat = self.heartbeat
            return bool(beat) and is_ready(beat)

        until(ready, seconds, why=f"heartbeat of {self.name}; its log:\n{self.log}")

    def until_consuming(self) -> None:
        self.until_beating(lambda beat: bool(beat["consuming"]))

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def stop(self, seconds: float = 60) -> int:
        """SIGTERM, then wait; the exit status. One that does not end tells in its log where each thread is."""
        if self.is_running:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGABRT)
            self.process.wait(10)
            raise AssertionError(f"{self.name} does not end; its log:\n{self.log}") from None

    def kill(self) -> None:
        """SIGKILL for the process and all its children, as a host that loses power."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self.process.wait(10)

    def close(self) -> None:
        self.kill()
        self._log.close()
