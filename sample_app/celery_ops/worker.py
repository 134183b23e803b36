from __future__ import annotations

from celery import Celery

from celery_ops.heartbeat import WorkerHeartbeat


def install(app: Celery) -> None:
    """Adds the heartbeat file to the app's workers; `CELERY_WORKER_CONSUMER` of `celery_ops.settings` is its other half."""
    app.steps["worker"].add(WorkerHeartbeat)
