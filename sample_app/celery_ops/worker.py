from __future__ import annotations

from typing import Any

from celery import Celery
from celery.app.defaults import DEFAULTS

from celery_ops import redis_transport
from celery_ops.heartbeat import WorkerHeartbeat

SWEEP = "celery_ops.outbox.sweep"
SECONDS_BETWEEN_SWEEPS = 60


def install(app: Celery) -> None:
    """Adds the heartbeat file to the app's workers, the sweep of the outbox to its schedule, and saves some time."""
    redis_transport.install()
    app.steps["worker"].add(WorkerHeartbeat)
    app.on_after_configure.connect(schedule_sweep, sender=app)
    app.on_after_configure.connect(copy_settings, sender=app)


def schedule_sweep(sender: Any, **_: Any) -> None:
    sender.conf.beat_schedule = {
        SWEEP: {"task": SWEEP, "schedule": SECONDS_BETWEEN_SWEEPS},
        **sender.conf.beat_schedule,
    }


def copy_settings(sender: Any, **_: Any) -> None:
    """Celery looks up some ten settings for each publish, each by several names in Django's lazy settings."""
    sender.conf.update({name: sender.conf[name] for name in DEFAULTS if name in sender.conf})
