"""A copy of the app's PostgreSQL database, and its way back beside the one that is there."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from ansible_collections.stalk.celery.plugins.module_utils.sealed_stream import (
    CommandFailed,
    Sealed,
    blocks,
    offered,
    one_line,
    running,
    seal,
    unsealed,
)

SOCKET = ("--host=/run/postgresql", "--username=postgres", "--no-password")
PLAIN = ("--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", "--file=-")
TRIES = 20
END_SESSIONS = """\
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN ({names}) AND pid <> pg_backend_pid();
"""


def quoted(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def literal(text: str) -> str:
    escaped = text.replace("'", "''")
    return f"'{escaped}'"


def psql(*statements: str, database: str = "postgres") -> str:
    """The statements' answers; one that fails ends it."""
    done = subprocess.run(
        ["psql", *SOCKET, *PLAIN, f"--dbname={database}"],
        input="\n".join(statements),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CommandFailed(f"psql: {one_line(done.stderr)}")
    return done.stdout.strip()


def version() -> str:
    return psql("SHOW server_version").split()[0]


def exists(database: str) -> bool:
    return bool(psql(f"SELECT 1 FROM pg_database WHERE datname = {literal(database)}"))


def copy(database: str, recipient: str, target: Path) -> Sealed:
    """One moment of it. pg_restore reads the table of contents of what is encrypted."""
    dump = ["pg_dump", *SOCKET, "--format=custom", f"--dbname={database}"]
    with running(dump, stdout=subprocess.PIPE) as source:
        assert source.stdout
        return seal(readable(blocks(source.stdout)), recipient, target)


def readable(dump: Iterator[bytes]) -> Iterator[bytes]:
    with running(["pg_restore", "--list"], stdin=subprocess.PIPE) as reader:
        assert reader.stdin
        yield from offered(dump, reader.stdin)


def fill(database: str, sealed: Path, identity: str) -> None:
    """Restores into an empty database."""
    restore = ["pg_restore", *SOCKET, "--exit-on-error", f"--dbname={database}"]
    with unsealed(sealed, identity) as plain, running(restore, stdin=subprocess.PIPE) as reader:
        assert reader.stdin
        for _ in offered(blocks(plain), reader.stdin):
            pass
    psql("ANALYZE", database=database)


def take_place(database: str, restored: str, aside: str) -> bool:
    """The restored one gets the name, the one that had it another, both or none. Whether there was one."""
    had = exists(database)
    renames = [(database, aside), (restored, database)] if had else [(restored, database)]
    statements = [f"ALTER DATABASE {quoted(old)} RENAME TO {quoted(new)};" for old, new in renames]
    names = ", ".join(literal(name) for name in (database, restored))
    in_one_step(END_SESSIONS.format(names=names), ["BEGIN;", *statements, "COMMIT;"])
    return had


def in_one_step(before: str, statements: Sequence[str]) -> None:
    """Whoever connects again between the two makes the second fail."""
    for attempt in range(1, TRIES + 1):
        try:
            psql(before, *statements)
            return
        except CommandFailed as error:
            if "being accessed by other users" not in str(error) or attempt == TRIES:
                raise
            time.sleep(0.5)
