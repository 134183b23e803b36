"""Celery's settings for production, from the environment: `from celery_ops.settings import *` in Django's settings.

Reasons cite Celery 5.7.0, kombu 5.7.0 and redis-py 8.1, by file.
"""

from __future__ import annotations

from ssl import CERT_REQUIRED
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from celery_ops import environment

TLS_VARIABLES = ("CELERY_TLS_CA", "CELERY_TLS_CERT", "CELERY_TLS_KEY")
SOCKET_SECONDS = 10
DEFAULT_RETRY_DELAY = 180
"""Celery's own `Task.default_retry_delay`."""


def tls_options() -> dict[str, Any]:
    """TLS for broker and results, mutual where there is a certificate to show, or {} when no CELERY_TLS_* is set."""
    ca, certificate, key = files = [environment.readable_file(name) for name in TLS_VARIABLES]
    if not any(files):
        return {}
    needed = TLS_VARIABLES if certificate or key else TLS_VARIABLES[:1]
    if missing := [name for name, path in zip(needed, files, strict=False) if not path]:
        raise ImproperlyConfigured(
            f"{missing[0]}: missing; TLS needs CELERY_TLS_CA, mutual TLS all of {', '.join(TLS_VARIABLES)}"
        )
    options = {"ssl_cert_reqs": CERT_REQUIRED, "ssl_check_hostname": True, "ssl_ca_certs": ca}
    return {**options, "ssl_certfile": certificate, "ssl_keyfile": key} if certificate else options


def redis_url(name: str, value: str, tls: dict[str, Any]) -> str:
    scheme = environment.url(name, ("redis", "rediss"), value).scheme
    # Without these the broker's connection verifies nothing and says so only in the log (kombu/connection.py).
    if scheme == "rediss" and not tls:
        raise ImproperlyConfigured(f"{name}: rediss:// verifies nothing without a CA; set CELERY_TLS_CA")
    if scheme == "redis" and tls:
        raise ImproperlyConfigured(f"{name}: redis:// is plain text although CELERY_TLS_* are set; write rediss://")
    return value


def result_url(tls: dict[str, Any]) -> str:
    value = environment.secret("CELERY_RESULT_BACKEND")
    if value in ("", "django-db"):
        return value
    return redis_url("CELERY_RESULT_BACKEND", value, tls)


_tls = tls_options()
_key_prefix = environment.text("CELERY_KEY_PREFIX")
_visibility_timeout = environment.seconds("CELERY_VISIBILITY_TIMEOUT", 3600)

# --- broker ---------------------------------------------------------------------------------------------------
CELERY_BROKER_URL = redis_url(
    "CELERY_BROKER_URL",
    environment.required_secret("CELERY_BROKER_URL", "set it to rediss://user:password@host:6379/0"),
    _tls,
)
CELERY_BROKER_USE_SSL = _tls or None
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "global_keyprefix": _key_prefix,
    "visibility_timeout": _visibility_timeout,
    # celery_ops/redis_transport.py
    "unacked_tags_key": environment.text("CELERY_UNACKED_TAGS_KEY"),
    # One list per queue, so that LLEN is the queue's length (kombu/transport/redis.py, _q_for_pri).
    "priority_steps": [0],
    # The health check needs the socket timeout: a read from a half-open connection never ends without it
    # (kombu/transport/redis.py, "Transport Options").
    "socket_timeout": SOCKET_SECONDS,
    "socket_connect_timeout": SOCKET_SECONDS // 2,
    "socket_keepalive": True,
    "health_check_interval": SOCKET_SECONDS,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# An outage of any length is waited for; Celery gives up after 100 attempts (celery/app/defaults.py).
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
# What a request of the web waits for a broker that does not answer; OutboxTask leaves the rest to the sweep.
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 2, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.5}

# --- tasks ----------------------------------------------------------------------------------------------------
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_RESULT_SERIALIZER = "json"
CELERY_TASK_DEFAULT_QUEUE = environment.text("CELERY_TASK_DEFAULT_QUEUE", "celery")
CELERY_TASK_ROUTES = environment.json_object(
    "CELERY_TASK_ROUTES", 'write an object of task name or glob to queue, such as {"shop.tasks.*": "high"}'
)
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
# A failed or timed-out task is finished: handed out again, it would only fail again.
CELERY_TASK_ACKS_ON_FAILURE = True
CELERY_TASK_ACKS_ON_TIMEOUT = True
# max_retries then ends the loop of a task whose process is killed each time (celery/worker/request.py,
# _retry_worker_lost). The retry waits in a worker, so it needs a visibility timeout that outlasts its delay.
CELERY_TASK_RETRY_ON_WORKER_LOST = _visibility_timeout >= 2 * DEFAULT_RETRY_DELAY

# --- workers --------------------------------------------------------------------------------------------------
CELERY_WORKER_CONSUMER = "celery_ops.heartbeat:BeatingConsumer"
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# A worker then holds no message that it does not work on; what a killed worker holds is stuck for the
# visibility timeout.
CELERY_WORKER_DISABLE_PREFETCH = True
# A task goes on when the connection to Redis breaks. Its message may be given out again meanwhile, which
# OutboxTask notices; cancelling would kill the work of all workers each time that Redis restarts.
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
# A child process that imports a large project on a busy host is not ready within the default of 4 s, and killed.
CELERY_WORKER_PROC_ALIVE_TIMEOUT = 30
# Django's LOGGING stays in force.
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

# --- results --------------------------------------------------------------------------------------------------
_results = result_url(_tls)
CELERY_RESULT_BACKEND = _results or "disabled://"
CELERY_RESULT_EXPIRES = environment.seconds("CELERY_RESULT_EXPIRES", 86400)
CELERY_TASK_IGNORE_RESULT = not _results
# One client for all greenlets and threads; otherwise each builds its own and pays a TLS handshake for each task
# (celery/app/base.py, backend).
CELERY_RESULT_BACKEND_THREAD_SAFE = True
CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS = {
    "global_keyprefix": _key_prefix,
    # Up to 20 s of a web request otherwise (celery/backends/base.py, retry_policy).
    "retry_policy": {"max_retries": 5, "interval_start": 0, "interval_step": 0.2, "interval_max": 1},
}
# Some seconds for a result store that restarts; without this an outcome is lost at the first error. A silent one
# costs the socket timeout for each attempt, in the main process too, whose watchdog waits two minutes.
CELERY_RESULT_BACKEND_ALWAYS_RETRY = True
CELERY_RESULT_BACKEND_MAX_RETRIES = 3
CELERY_RESULT_BACKEND_BASE_SLEEP_BETWEEN_RETRIES_MS = 500
CELERY_REDIS_BACKEND_USE_SSL = _tls or None
CELERY_REDIS_SOCKET_TIMEOUT = SOCKET_SECONDS
CELERY_REDIS_SOCKET_CONNECT_TIMEOUT = SOCKET_SECONDS // 2
CELERY_REDIS_SOCKET_KEEPALIVE = True
CELERY_REDIS_BACKEND_HEALTH_CHECK_INTERVAL = SOCKET_SECONDS

# --- beat -----------------------------------------------------------------------------------------------------
CELERY_BEAT_SCHEDULER = "celery_ops.beat:LeasedScheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 5
# last_run_at is saved with each send; after a kill within the default of 180 s a beat sends again (celery/beat.py).
CELERY_BEAT_SYNC_EVERY = 1

__all__ = [name for name in globals() if name.startswith("CELERY_")]
