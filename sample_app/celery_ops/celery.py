"""A Celery app for a project that has none of its own: `celery -A celery_ops.celery`."""

from __future__ import annotations

from celery import Celery

from celery_ops import worker

app = Celery("celery_ops")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
worker.install(app)
