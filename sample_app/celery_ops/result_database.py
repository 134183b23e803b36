"""Celery's result store in the app's own database, whose absence fails no task either."""

from __future__ import annotations

from django_celery_results.backends.database import DatabaseBackend

from celery_ops.result_store import MayBeAway


class Backend(MayBeAway, DatabaseBackend):
    pass
