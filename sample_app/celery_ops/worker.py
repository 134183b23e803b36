from __future__ import annotations

from typing import Any

from celery import Celery
from celery.app.defaults import DEFAULTS

from celery_ops import redis_transport
from celery_ops.heartbeat import WorkerHeartbeat


def install(app: Celery) -> None:
    """Adds the heartbeat file to the app's workers, and saves some time."""
    redis_transport.install()
    app.steps["worker"].add(WorkerHeartbeat)
    app.on_after_configure.connect(copy_settings, sender=app)


def copy_settings(sender: Any, **_: Any) -> None:
    """Celery looks up some ten settings for each publish, each by several names in Django's lazy settings."""
    sender.conf.update({name: sender.conf[name] for name in DEFAULTS if name in sender.conf})
