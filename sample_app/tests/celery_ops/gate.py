"""A task that works until the test lets it end. Workers get it by `--include`."""

from __future__ import annotations

from pathlib import Path

from celery import shared_task

from tests.waiting import until


class Gate:
    """Closed until the file `path` exists; each task that waits there appends a line to `arrivals`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.arrivals_file = path.with_suffix(".arrivals")

    def open(self) -> Path:
        self.path.touch()
        return self.path

    def close(self) -> None:
        self.path.unlink(missing_ok=True)

    def arrive(self, text: str = "") -> None:
        with self.arrivals_file.open("a") as file:
            file.write(f"{text}\n")

    @property
    def arrivals(self) -> int:
        return len(self.arrivals_file.read_text().splitlines()) if self.arrivals_file.exists() else 0

    def wait(self) -> None:
        self.arrive()
        until(self.path.exists, seconds=120)


@shared_task
def wait_at_gate(path: str) -> None:
    Gate(Path(path)).wait()
