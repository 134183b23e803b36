"""Celery's settings that Redis needs, as broker and as result store."""

from __future__ import annotations

from ssl import CERT_REQUIRED
from typing import Any

from celery_ops import environment, tls

SCHEMES = ("redis", "rediss")
SOCKET_SECONDS = 10
DEFAULT_RETRY_DELAY = 180
"""Celery's own `Task.default_retry_delay`."""


def use_ssl(files: tls.Files) -> dict[str, Any] | None:
    if not files.ca:
        return None
    options = {"ssl_cert_reqs": CERT_REQUIRED, "ssl_check_hostname": True, "ssl_ca_certs": files.ca}
    return {**options, "ssl_certfile": files.certificate, "ssl_keyfile": files.key} if files.certificate else options


def key_prefix() -> str:
    return environment.text("CELERY_KEY_PREFIX")


def broker(files: tls.Files) -> dict[str, Any]:
    visibility_timeout = environment.seconds("CELERY_VISIBILITY_TIMEOUT", 3600)
    return {
        "CELERY_BROKER_USE_SSL": use_ssl(files),
        "CELERY_BROKER_TRANSPORT_OPTIONS": {
            "global_keyprefix": key_prefix(),
            "visibility_timeout": visibility_timeout,
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
        },
        # A worker then holds no message that it does not work on; what a killed worker holds is stuck for the
        # visibility timeout.
        "CELERY_WORKER_DISABLE_PREFETCH": True,
        # max_retries then ends the loop of a task whose process is killed each time (celery/worker/request.py,
        # _retry_worker_lost). The retry waits in a worker, so it needs a visibility timeout that outlasts its delay.
        "CELERY_TASK_RETRY_ON_WORKER_LOST": visibility_timeout >= 2 * DEFAULT_RETRY_DELAY,
    }


def results(files: tls.Files) -> dict[str, Any]:
    return {
        "CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS": {
            "global_keyprefix": key_prefix(),
            # Up to 20 s of a web request otherwise (celery/backends/base.py, retry_policy).
            "retry_policy": {"max_retries": 5, "interval_start": 0, "interval_step": 0.2, "interval_max": 1},
        },
        "CELERY_REDIS_BACKEND_USE_SSL": use_ssl(files),
        "CELERY_REDIS_SOCKET_TIMEOUT": SOCKET_SECONDS,
        "CELERY_REDIS_SOCKET_CONNECT_TIMEOUT": SOCKET_SECONDS // 2,
        "CELERY_REDIS_SOCKET_KEEPALIVE": True,
        "CELERY_REDIS_BACKEND_HEALTH_CHECK_INTERVAL": SOCKET_SECONDS,
    }


def with_options(settings: dict[str, Any], name: str, options: dict[str, Any]) -> dict[str, Any]:
    return {**settings, name: {**settings[name], **options}}
