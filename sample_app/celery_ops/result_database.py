"""Celery's result store in the app's own database, whose absence fails no task either."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django_celery_results.backends.database import DatabaseBackend

from celery_ops.outbox import acknowledge_end
from celery_ops.result_store import MayBeAway


class Backend(MayBeAway, DatabaseBackend):
    def on_chord_part_return(self, request: Any, state: str, *args: Any, **options: Any) -> None:
        """A member is counted once, as its row is closed with it, and the last one publishes the body with both."""
        with transaction.atomic():
            if acknowledge_end(request, state):
                super().on_chord_part_return(request, state, *args, **options)
