"""Celery's result store, whose absence fails no task.

Celery reports a task whose result cannot be stored as failed, with a traceback of all attempts that is longer than a
pipe holds. While the broker is away too, nobody reads that pipe; the soft time limit then interrupts the process in the
middle of the report, and the rest of it ends the worker (celery 5.7.0, app/trace.py, `report_internal_error`;
concurrency/asynpool.py, `_recv_message`).
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from celery import Celery
from celery.backends.base import BaseBackend
from celery.backends.redis import RedisBackend, SentinelBackend
from celery.exceptions import BackendStoreError
from celery.utils.log import get_logger
from django.db import transaction
from redis.connection import SSLConnection

from celery_ops import environment, redis_tls, sentinel_transport
from celery_ops.database import DATABASE_ERRORS, drop_broken_connection
from celery_ops.followers import Publishing, rows_instead_of_messages

logger = get_logger(__name__)


class MayBeAway(BaseBackend):
    def store_result(self, task_id: str, result: Any, state: str, *args: Any, **options: Any) -> Any:
        try:
            return super().store_result(task_id, result, state, *args, **options)
        except (BackendStoreError, *DATABASE_ERRORS) as error:
            logger.error("The state %s of task %s is not stored: %s", state, task_id, error.__context__ or error)
            return None

    def on_chord_part_return(self, *args: Any, **options: Any) -> None:
        """Of the last one: publishes the chord's body, which is sent when all of it is written."""
        with ExitStack() as stack:
            try:
                drop_broken_connection()
                stack.enter_context(transaction.atomic())
                stack.enter_context(rows_instead_of_messages(Publishing.BODY))
            except DATABASE_ERRORS as error:
                logger.warning("The body of a chord would be sent without the outbox: %s", error)
            super().on_chord_part_return(*args, **options)


class Backend(MayBeAway, RedisBackend):
    connection_class_ssl: type[SSLConnection] = redis_tls.Connection

    def _params_from_url(self, url: str, defaults: Any) -> Any:
        # Celery says SSLConnection of a rediss:// URL, whatever the line above says (celery 5.7.0, backends/redis.py).
        parameters = super()._params_from_url(url, defaults)
        if parameters.get("connection_class") is SSLConnection:
            parameters["connection_class"] = self.connection_class_ssl
        return parameters


class BackendBehindSentinel(Backend, SentinelBackend):
    connection_class_ssl = sentinel_transport.Connection

    def _get_sentinel_instance(self, **params: Any) -> Any:
        sentinel = super()._get_sentinel_instance(**params)
        redis_tls.connect_to_sentinels(sentinel)
        return sentinel


def install(app: Celery) -> None:
    app.loader.override_backends = {
        "redis": f"{__name__}:Backend",
        "rediss": f"{__name__}:Backend",
        "sentinel": f"{__name__}:BackendBehindSentinel",
    }
    # The name of an entry point is given no other class (celery 5.7.0, app/backends.py, `by_name`).
    if environment.secret("CELERY_RESULT_BACKEND") == "django-db":
        app.backend_cls = "celery_ops.result_database:Backend"
