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
    check_space,
    offered,
    one_line,
    running,
    seal,
    unsealed,
)

SOCKET = ("--host=/run/postgresql", "--username=postgres", "--no-password")
PLAIN = ("--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", "--file=-")
TRIES = 20
OBJECT_IN_USE = "55006"
# Whose fill came to its end.
WHOLE = "restored by Stalk"
END_SESSIONS = """\
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {name} AND pid <> pg_backend_pid();
"""
IS_WHOLE = "SELECT 1 FROM pg_database WHERE datname = {name} AND shobj_description(oid, 'pg_database') = {whole}"


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


def size(database: str) -> int:
    return int(psql(f"SELECT pg_database_size({literal(database)})"))


def restored_at(app: str, moment: str) -> str:
    """In lower case SQL needs no quotes."""
    return f"{app}_restored_{moment.lower()}"


def left(app: str) -> list[str]:
    """Restored ones that came to no place."""
    begin = literal(restored_at(app, ""))
    return psql(f"SELECT datname FROM pg_database WHERE starts_with(datname, {begin})").split()


def drop(database: str) -> None:
    psql(f"DROP DATABASE IF EXISTS {quoted(database)} WITH (FORCE)")


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


def fill(app: str, moment: str, sealed: Path, identity: str, space: int) -> None:
    """Restores into the empty database of this moment. What earlier runs left goes."""
    database = restored_at(app, moment)
    for name in left(app):
        if name != database:
            drop(name)
    try:
        check_space(Path(psql("SHOW data_directory")), space)
        _fill(database, sealed, identity)
    except BaseException:
        drop(database)
        raise


def _fill(database: str, sealed: Path, identity: str) -> None:
    restore = ["pg_restore", *SOCKET, "--exit-on-error", f"--dbname={database}"]
    with unsealed(sealed, identity) as plain, running(restore, stdin=subprocess.PIPE) as reader:
        assert reader.stdin
        for _ in offered(blocks(plain), reader.stdin):
            pass
    psql("ANALYZE;", f"COMMENT ON DATABASE {quoted(database)} IS {literal(WHOLE)}", database=database)


def take_place(database: str, moment: str) -> str:
    """The restored one gets the name, the one that had it another, both or none. That other, if there was one."""
    restored, aside = restored_at(database, moment), f"{database}_before_{moment.lower()}"
    if not psql(IS_WHOLE.format(name=literal(restored), whole=literal(WHOLE))):
        raise CommandFailed(f"database {restored} is not there or not whole, as another restore is under way")
    had = exists(database)
    renames = [(database, aside), (restored, database)] if had else [(restored, database)]
    statements = [f"ALTER DATABASE {quoted(old)} RENAME TO {quoted(new)};" for old, new in renames]
    in_one_step(
        END_SESSIONS.format(name=literal(database)),
        ["BEGIN;", *statements, f"COMMENT ON DATABASE {quoted(database)} IS NULL;", "COMMIT;"],
    )
    return aside if had else ""


def in_one_step(before: str, statements: Sequence[str]) -> None:
    """Whoever connects again between the two makes the second fail."""
    for attempt in range(1, TRIES + 1):
        try:
            psql("\\set VERBOSITY verbose", before, *statements)
            return
        except CommandFailed as error:
            if f"{OBJECT_IN_USE}:" not in str(error) or attempt == TRIES:
                raise
            time.sleep(0.5)
