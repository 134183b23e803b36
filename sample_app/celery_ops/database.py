"""What the parts that write to the database share: its clock, the one that all hosts have, and its errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.db.models import DateTimeField, ExpressionWrapper
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now

# Django raises the second for a connection that broke before (django/db/utils.py).
DATABASE_ERRORS = (DatabaseError, InterfaceError)
# Of these, what a later try may mend.
DATABASE_IS_AWAY = (OperationalError, InterfaceError)


def from_now(seconds: float) -> ExpressionWrapper[CombinedExpression]:
    return ExpressionWrapper(Now() + timedelta(seconds=seconds), output_field=DateTimeField())


def drop_broken_connection() -> None:
    """Also one that broke while a task worked and did not use it, as after a restart of the database."""
    if connection.connection is not None and not connection.in_atomic_block and not connection.is_usable():
        connection.close()


@contextmanager
def short_connection() -> Iterator[None]:
    """For a worker's main process: children that are forked later would inherit the connection."""
    try:
        yield
    finally:
        if not connection.in_atomic_block:
            connection.close()
