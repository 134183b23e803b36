"""Celery's settings for production, from the environment: `from celery_ops.settings import *` in Django's settings.

Reasons cite Celery 5.7.0, kombu 5.7.0 and redis-py 8.1, by file.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured

from celery_ops import environment, rabbitmq_settings, redis_settings, sentinel_settings, signing, tls

REDIS_SCHEMES = (*redis_settings.SCHEMES, *sentinel_settings.SCHEMES)


def broker_settings(files: tls.Files) -> dict[str, Any]:
    name = "CELERY_BROKER_URL"
    remedy = "set it to rediss://user:password@host:6379/0 or amqps://user:password@host:5671/vhost"
    value = environment.required_secret(name, remedy)
    if value.startswith("sqs:"):
        raise ImproperlyConfigured(f"{name}: Amazon SQS keeps no results and takes no commands; {remedy}")
    urls = environment.urls(name, (*REDIS_SCHEMES, *rabbitmq_settings.SCHEMES), value)
    tls.check_scheme(name, urls[0].scheme, files)
    if urls[0].scheme in rabbitmq_settings.SCHEMES:
        return rabbitmq_settings.broker(name, value, files, [url.hostname or "" for url in urls])
    if urls[0].scheme in sentinel_settings.SCHEMES:
        return {name: value, **sentinel_settings.broker(files, urls[0])}
    return {name: value, **redis_settings.broker(files)}


def result_settings(files: tls.Files) -> dict[str, Any]:
    name = "CELERY_RESULT_BACKEND"
    value = environment.secret(name)
    if value in ("", "django-db"):
        return {name: value or "disabled://", "CELERY_TASK_IGNORE_RESULT": not value}
    files = tls.results(files)
    url = environment.urls(name, REDIS_SCHEMES, value)[0]
    tls.check_scheme(name, url.scheme, files)
    is_behind_sentinel = url.scheme in sentinel_settings.SCHEMES
    redis = sentinel_settings.results(files, url) if is_behind_sentinel else redis_settings.results(files)
    return {name: value, "CELERY_TASK_IGNORE_RESULT": False, **redis}


_tls_files = tls.files()

# --- broker ---------------------------------------------------------------------------------------------------
globals().update(broker_settings(_tls_files))
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# An outage of any length is waited for; Celery gives up after 100 attempts (celery/app/defaults.py).
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
# What a request of the web waits for a broker that does not answer; OutboxTask leaves the rest to the sweep.
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 2, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.5}

# --- tasks ----------------------------------------------------------------------------------------------------
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_RESULT_SERIALIZER = "json"
globals().update(signing.settings())
CELERY_TASK_DEFAULT_QUEUE = environment.text("CELERY_TASK_DEFAULT_QUEUE", "celery")
CELERY_TASK_ROUTES = environment.json_object(
    "CELERY_TASK_ROUTES", 'write an object of task name or glob to queue, such as {"shop.tasks.*": "high"}'
)
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
# A failed or timed-out task is finished: handed out again, it would only fail again.
CELERY_TASK_ACKS_ON_FAILURE = True
CELERY_TASK_ACKS_ON_TIMEOUT = True

# --- workers --------------------------------------------------------------------------------------------------
CELERY_WORKER_CONSUMER = "celery_ops.heartbeat:BeatingConsumer"
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# A task goes on when the connection to the broker breaks. Its message may be given out again meanwhile, which
# OutboxTask notices; cancelling would kill the work of all workers each time that the broker restarts.
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
# A child process that imports a large project on a busy host is not ready within the default of 4 s, and killed.
CELERY_WORKER_PROC_ALIVE_TIMEOUT = 30
# Django's LOGGING stays in force.
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

# --- results --------------------------------------------------------------------------------------------------
globals().update(result_settings(_tls_files))
CELERY_RESULT_EXPIRES = environment.seconds("CELERY_RESULT_EXPIRES", 86400)
# One client for all greenlets and threads; otherwise each builds its own and pays a TLS handshake for each task
# (celery/app/base.py, backend).
CELERY_RESULT_BACKEND_THREAD_SAFE = True
# Some seconds for a result store that restarts; without this an outcome is lost at the first error. A silent one
# costs the socket timeout for each attempt, in the main process too, whose watchdog waits two minutes.
CELERY_RESULT_BACKEND_ALWAYS_RETRY = True
CELERY_RESULT_BACKEND_MAX_RETRIES = 3
CELERY_RESULT_BACKEND_BASE_SLEEP_BETWEEN_RETRIES_MS = 500

# --- beat -----------------------------------------------------------------------------------------------------
CELERY_BEAT_SCHEDULER = "celery_ops.beat:LeasedScheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 5
# last_run_at is saved with each send; after a kill within the default of 180 s a beat sends again (celery/beat.py).
CELERY_BEAT_SYNC_EVERY = 1

__all__ = [name for name in globals() if name.startswith("CELERY_")]
