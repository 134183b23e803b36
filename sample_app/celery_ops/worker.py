from __future__ import annotations

from typing import Any

from celery import Celery

from celery_ops.heartbeat import WorkerHeartbeat

SECONDS_BETWEEN_SWEEPS = 60


def install(app: Celery) -> None:
    """Adds the heartbeat file to the app's workers and the sweep of the outbox to its schedule."""
    app.steps["worker"].add(WorkerHeartbeat)
    app.on_after_configure.connect(schedule_sweep, sender=app)


def schedule_sweep(sender: Any, **_: Any) -> None:
    sweep = {"task": "celery_ops.outbox.sweep", "schedule": SECONDS_BETWEEN_SWEEPS}
    sender.conf.beat_schedule = {"celery_ops.outbox.sweep": sweep, **sender.conf.beat_schedule}
