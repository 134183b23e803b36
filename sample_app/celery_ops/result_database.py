"""Celery's result store in the app's own database, whose absence fails no task either."""

from __future__ import annotations

from typing import Any

from django.db import OperationalError, transaction
from django_celery_results.backends.database import DatabaseBackend

from celery_ops import outbox
from celery_ops.database import DATABASE_IS_AWAY, drop_broken_connection
from celery_ops.followers import Publishing, rows_instead_of_messages
from celery_ops.result_store import MayBeAway


class Backend(MayBeAway, DatabaseBackend):
    def on_chord_part_return(self, request: Any, state: str, result: Any, **options: Any) -> None:
        """A member is counted once, as its row is closed with it, and the last one publishes the body with both."""
        try:
            drop_broken_connection()
            with transaction.atomic(), rows_instead_of_messages(Publishing.FOLLOWS):
                if outbox.acknowledge_end(request, state):
                    self.make_sure_it_is_stored(request, state, result)
                    DatabaseBackend.on_chord_part_return(self, request, state, result, **options)
                if transaction.get_rollback():
                    # Celery has logged the error that it got, and would go on.
                    raise OperationalError("the count of a chord is not written")
        except DATABASE_IS_AWAY as error:
            if request.get("outbox_holder"):
                outbox.return_to_queue(request.id, f"its chord cannot count it: {error}")
            raise

    def make_sure_it_is_stored(self, request: Any, state: str, result: Any) -> None:
        """The body takes the results of all, and `store_result` may have met a database that was away."""
        if not request.ignore_result and not self.TaskModel.objects.filter(task_id=request.id, status=state).exists():
            DatabaseBackend.store_result(self, request.id, result, state, request=request)
