"""Sparing workers what is no longer wanted."""

from __future__ import annotations

from functools import partial

from celery import current_app
from celery.utils.log import get_logger
from django.db import transaction
from django.db.models import QuerySet
from kombu.exceptions import OperationalError

from celery_ops.models import OutboxMessage

logger = get_logger(__name__)


def revoke_on_commit(messages: QuerySet[OutboxMessage]) -> None:
    transaction.on_commit(partial(revoke, list(messages.values_list("pk", flat=True))))


def revoke(task_ids: list[str]) -> None:
    """Workers drop these messages. They forget that as they restart: what is cancelled says so in the database too."""
    try:
        current_app.control.revoke(task_ids)
    except (OperationalError, OSError) as error:
        logger.warning("Workers are not told of a cancel and will see it in the database: %s", error)
