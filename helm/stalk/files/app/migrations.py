"""migrations.py apply|early|await: migrates the database of the settings, or waits until it has all migrations of this
image. `early` is before the release: a database that does not answer, or a certificate that is not there yet, may be
what the release mends.

A database that does not answer yet is waited for; after two minutes it gives up, so that the pod's status tells. The
project is imported once, which costs a second of CPU in each pod, and not again for each look.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import django
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import Error, connection

SECONDS = 120
SECONDS_BETWEEN_LOOKS = 0.5
COMMENT = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
RESTORE_HAS_NOT_ENDED = (
    "A restore has not ended, and broker and database may be of two times; upgrade with backup.kubernetes.restore again"
)


def silence() -> str:
    """Why the database does not answer; empty when it does."""
    try:
        connection.ensure_connection()
    except Error as error:
        return no_answer(error)
    return ""


def no_answer(error: Error) -> str:
    return f"The database does not answer: {' '.join(str(error).split())}"


def lack() -> str:
    """What the database lacks; empty when nothing."""
    try:
        call_command("migrate", check_unapplied=True, verbosity=0)
        # The project may be tried on another database.
        is_marked = connection.vendor == "postgresql" and is_being_restored()
        return RESTORE_HAS_NOT_ENDED if is_marked else ""
    except SystemExit:
        return "The database lacks migrations"
    except Error as error:
        return no_answer(error)
    finally:
        connection.close()


def is_being_restored() -> bool:
    """By the comment that files/backup/database writes."""
    with connection.cursor() as cursor:
        cursor.execute(COMMENT)
        return cursor.fetchone() == ("stalk: a restore is under way",)


def missing_certificate() -> str:
    """What cert-manager makes after the release alone; empty when it is there."""
    ca = os.environ.get("CELERY_TLS_CA")
    return f"{ca} is missing" if ca and not Path(ca).exists() else ""


def leave_to_the_release(reason: str) -> None:
    print(f"{reason}\nThe migrations are left to the release.")


def wait_for_an_end(problem: Callable[[], str]) -> None:
    """Says what it waits for at once, and again when that changes."""
    end, told = time.monotonic() + SECONDS, ""
    while said := problem():
        if time.monotonic() >= end:
            sys.exit(said)
        if said != told:
            print(f"{said}; waiting", flush=True)
            told = said
        time.sleep(SECONDS_BETWEEN_LOOKS)


def main() -> None:
    is_early = sys.argv[1] == "early"
    if is_early and (said := missing_certificate()):
        leave_to_the_release(said)
        return
    # The project is the working directory, as for `celery` and `gunicorn`.
    sys.path.insert(0, str(Path.cwd()))
    try:
        django.setup()
    except ImproperlyConfigured as error:
        sys.exit(str(error))
    if sys.argv[1] == "await":
        wait_for_an_end(lack)
        return
    if is_early and (said := silence()):
        leave_to_the_release(said)
        return
    wait_for_an_end(silence)
    call_command("migrate", interactive=False, skip_checks=False)


if __name__ == "__main__":
    main()
