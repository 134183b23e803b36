"""Celery's settings for production, from the environment: `from celery_ops.settings import *` in Django's settings."""

from __future__ import annotations

from ssl import CERT_REQUIRED
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from celery_ops import environment

BROKER_SOCKET_SECONDS = 10
PUBLISH_RETRIES = 2


def _tls() -> dict[str, Any]:
    """Mutual TLS for broker and results, or {} when no CELERY_TLS_* is set."""
    files = {name: environment.readable_file(name) for name in ("CELERY_TLS_CA", "CELERY_TLS_CERT", "CELERY_TLS_KEY")}
    if not any(files.values()):
        return {}
    if missing := [name for name, path in files.items() if not path]:
        raise ImproperlyConfigured(f"{missing[0]}: missing; mutual TLS needs all of {', '.join(files)}, or none of them")
    return {
        "ssl_cert_reqs": CERT_REQUIRED,
        "ssl_check_hostname": True,
        "ssl_ca_certs": files["CELERY_TLS_CA"],
        "ssl_certfile": files["CELERY_TLS_CERT"],
        "ssl_keyfile": files["CELERY_TLS_KEY"],
    }


def _redis_url(name: str, value: str, tls: dict[str, Any]) -> str:
    scheme = environment.url(name, ("redis", "rediss"), value).scheme
    if scheme == "rediss" and not tls:
        # kombu connects without verifying anything then (kombu/connection.py, celery issue 5371).
        raise ImproperlyConfigured(f"{name}: rediss:// needs CELERY_TLS_CA, CELERY_TLS_CERT and CELERY_TLS_KEY; set all three")
    if scheme == "redis" and tls:
        raise ImproperlyConfigured(f"{name}: redis:// is plain text but CELERY_TLS_* are set; write rediss://")
    return value


_tls_options = _tls()
_prefix = environment.text("CELERY_KEY_PREFIX")
_visibility_timeout = environment.seconds("CELERY_VISIBILITY_TIMEOUT", 3600)
_result_backend = environment.secret("CELERY_RESULT_BACKEND")

CELERY_BROKER_URL = _redis_url(
    "CELERY_BROKER_URL",
    environment.required_secret("CELERY_BROKER_URL", "set it to rediss://user:password@host:6379/0"),
    _tls_options,
)
CELERY_BROKER_USE_SSL = _tls_options or None
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "global_keyprefix": _prefix,
    "visibility_timeout": _visibility_timeout,
    "priority_steps": [0],
    "socket_timeout": BROKER_SOCKET_SECONDS,
    "socket_connect_timeout": BROKER_SOCKET_SECONDS,
    "socket_keepalive": True,
    "health_check_interval": BROKER_SOCKET_SECONDS,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None

CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_RESULT_SERIALIZER = "json"
CELERY_TASK_DEFAULT_QUEUE = environment.text("CELERY_TASK_DEFAULT_QUEUE", "celery")
CELERY_TASK_ROUTES = environment.json_object("CELERY_TASK_ROUTES")
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1

CELERY_RESULT_BACKEND = _result_backend or "disabled://"
CELERY_RESULT_EXPIRES = environment.seconds("CELERY_RESULT_EXPIRES", 86400)
CELERY_BEAT_SCHEDULER = "celery_ops.beat:LeasedScheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 5
CELERY_BEAT_SYNC_EVERY = 1
