from __future__ import annotations

import gc
from typing import Any

from celery import Celery
from celery.app.defaults import DEFAULTS
from celery.app.task import Task
from celery.events.state import Task as EventTask
from celery.signals import worker_before_create_process

from celery_ops import (
    correlation,
    delayed_delivery,
    rabbitmq_transport,
    redis_transport,
    result_store,
    sentinel_transport,
    sentry,
    signing,
)
from celery_ops.heartbeat import WorkerHeartbeat


def install(app: Celery) -> None:
    """Adds the heartbeat file and a result store that may be away to the app, and saves some time and memory."""
    sentry.report_failures()
    redis_transport.install()
    sentinel_transport.install()
    rabbitmq_transport.install()
    delayed_delivery.install(app)
    result_store.install(app)
    signing.install(app)
    show_correlation_id_in_flower()
    Task.Request = "celery_ops.task_request:TaskRequest"
    app.steps["worker"].add(WorkerHeartbeat)
    app.on_after_configure.connect(copy_settings, sender=app)
    worker_before_create_process.connect(keep_memory_shared)


def show_correlation_id_in_flower() -> None:
    """Its page of a task shows each of these fields (flower 2.2.0, templates/task.html)."""
    EventTask._fields = (*EventTask._fields, correlation.EVENT_FIELD)
    setattr(EventTask, correlation.EVENT_FIELD, None)


def copy_settings(sender: Any, **_: Any) -> None:
    """Celery looks up some ten settings for each publish, each by several names in Django's lazy settings."""
    sender.conf.update({name: sender.conf[name] for name in DEFAULTS if name in sender.conf})


def keep_memory_shared(**_: Any) -> None:
    """Garbage collection writes to every object that it visits, so a child's would copy all that it has of its parent.
    Once, before the first child: what a later call would freeze is no lasting part of the program."""
    worker_before_create_process.disconnect(keep_memory_shared)
    gc.collect()
    gc.freeze()
