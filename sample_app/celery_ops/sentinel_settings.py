"""Celery's settings that Redis needs behind Sentinel, beside its own."""

from __future__ import annotations

from typing import Any
from urllib.parse import SplitResult, unquote

from celery_ops import environment, redis_settings, tls

SCHEMES = ("sentinel",)
SENTINEL_SECONDS = 2


def options(files: tls.Files, url: SplitResult) -> dict[str, Any]:
    """The transport options of broker and results.

    Neither the settings of TLS nor the URL's user hold for the connections to the Sentinels, which the options have to
    tell (kombu/transport/redis.py, _sentinel_managed_pool; celery/backends/redis.py, _get_sentinel_instance).
    """
    return {
        "master_name": environment.required("CELERY_SENTINEL_MASTER", "set it to the name that the Sentinels monitor"),
        "sentinel_kwargs": {
            "ssl": True,
            **(redis_settings.use_ssl(files) or {}),
            "username": unquote(url.username or "") or None,
            "password": unquote(url.password or "") or None,
            "socket_timeout": SENTINEL_SECONDS,
            "socket_connect_timeout": SENTINEL_SECONDS,
            # Once each: the next Sentinel is the second attempt (redis/sentinel.py, discover_master). Flower reads this
            # too, and takes no object of redis.retry (flower/utils/broker.py, RedisSentinel).
            "retry": None,
        },
    }


def broker(files: tls.Files, url: SplitResult) -> dict[str, Any]:
    # A primary that is gone without a word: the Sentinels tell another meanwhile.
    of_broker = options(files, url) | {"socket_connect_timeout": SENTINEL_SECONDS}
    return redis_settings.with_options(redis_settings.broker(files), "CELERY_BROKER_TRANSPORT_OPTIONS", of_broker)


def results(files: tls.Files, url: SplitResult) -> dict[str, Any]:
    settings = redis_settings.results(files)
    return redis_settings.with_options(settings, "CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS", options(files, url))
