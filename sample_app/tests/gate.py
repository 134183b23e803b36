"""Where a task waits until the test lets it go on."""

from __future__ import annotations

from pathlib import Path

from tests.waiting import until


class Gate:
    """Closed until the file `path` exists. Tasks leave a line for each arrival and for each effect."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self) -> Path:
        self.path.touch()
        return self.path

    def close(self) -> None:
        self.path.unlink(missing_ok=True)

    def _lines(self, kind: str) -> list[str]:
        file = self.path.with_suffix(f".{kind}")
        return file.read_text().splitlines() if file.exists() else []

    def _add(self, kind: str, text: str) -> None:
        with self.path.with_suffix(f".{kind}").open("a") as file:
            file.write(f"{text}\n")

    @property
    def arrivals(self) -> list[str]:
        return self._lines("arrivals")

    @property
    def effects(self) -> list[str]:
        return self._lines("effects")

    def note_arrival(self, text: str = "") -> None:
        self._add("arrivals", text)

    def wait(self, text: str = "") -> None:
        self.note_arrival(text)
        until(self.path.exists, seconds=120)

    def take_effect(self, text: str = "") -> None:
        self._add("effects", text)
