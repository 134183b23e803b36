"""The app's database, which the container beside copies or replaces (files/backup/database)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ansible_collections.stalk.celery.plugins.module_utils.backups import BackupRefused

RUN = Path("/run/stalk")
# Whoever waits in vain is ended by the Job's deadline.
SECONDS_BETWEEN_LOOKS = 0.1
# Of files/backup/database.
FOR_A_PERSON = "3"


class DatabaseRefused(Exception):
    """What PostgreSQL said, in one line."""


@dataclass(frozen=True)
class Facts:
    size: int
    version: str
    is_marked: bool


class Reader:
    """What is written to somebody who may not read to the end, and then says why."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self.pipe = pipe
        self.reads = True

    def write(self, block: bytes) -> int:
        if self.reads:
            try:
                self.pipe.write(block)
            except BrokenPipeError:
                self.reads = False
        return len(block)

    def flush(self) -> None:
        pass


def facts() -> Facts:
    do("facts")
    size, version, is_marked = (RUN / "facts").read_text().split()
    return Facts(int(size), version, is_marked == "t")


def mark() -> None:
    """That broker and database may be of two times."""
    do("mark")


def unmark() -> None:
    do("unmark")


@contextmanager
def copied() -> Iterator[IO[bytes]]:
    """One moment of it, which is whole when the block is left."""
    ask("dump")
    with (RUN / "dump").open("rb") as dump:
        yield dump
    end()


@contextmanager
def replaced() -> Iterator[Reader]:
    """What is written has taken its place when the block is left, and it is marked no more; an error in there changes
    nothing."""
    ask("replace")
    with (RUN / "dump").open("wb", buffering=0) as dump:
        yield Reader(dump)
    end()


def do(what: str) -> None:
    ask(what)
    end()


def ask(what: str) -> None:
    while not (RUN / "ask").is_fifo():
        time.sleep(SECONDS_BETWEEN_LOOKS)
    (RUN / "ended").unlink(missing_ok=True)
    (RUN / "ask").write_text(f"{what}\n")


def end() -> None:
    while not (RUN / "ended").exists():
        time.sleep(SECONDS_BETWEEN_LOOKS)
    status = (RUN / "ended").read_text().strip()
    if status != "0":
        lines = [line.strip() for line in (RUN / "said").read_text(errors="replace").splitlines()]
        kind = BackupRefused if status == FOR_A_PERSON else DatabaseRefused
        raise kind(f"postgresql: {'; '.join(filter(None, lines))[:1000] or 'ended without a word'}")
