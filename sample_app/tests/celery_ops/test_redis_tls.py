"""Of the broker's certificate decides its CA alone."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from celery.backends.redis import RedisBackend
from kombu.connection import Connection
from kombu.exceptions import OperationalError

from celery_ops import redis_settings, result_store, tls
from config.celery import app
from tests.services import Services


def reach_broker(url: str, ssl: Any) -> None:
    with Connection(url, ssl=ssl) as connection:  # type: ignore[no-untyped-call]
        connection.ensure_connection(max_retries=1, interval_start=0)


def reach_results(url: str, ssl: Any) -> None:
    backend: RedisBackend = result_store.Backend(app=app, url=url)
    backend.connparams |= ssl
    backend.client.ping()


@pytest.mark.parametrize("reach", [reach_broker, reach_results])
def test_a_ca_of_the_system_is_not_the_brokers(
    services: Services, other_ca: str, monkeypatch: pytest.MonkeyPatch, reach: Any
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(services.authority.path))
    ssl = redis_settings.use_ssl(tls.files()) or {}
    reach(services.redis.url, ssl)
    with pytest.raises((OperationalError, redis.ConnectionError), match="certificate verify failed"):
        reach(services.redis.url, ssl | {"ssl_ca_certs": other_ca})
