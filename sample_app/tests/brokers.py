"""Which broker a test has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from runpy import run_path
from typing import Any

import pytest
from kombu import pools

from tests.processes import APP_FOLDER

ON_BOTH_BROKERS = pytest.mark.parametrize("broker", ["redis", "rabbitmq"], indirect=True)
ON_SENTINEL = pytest.mark.parametrize("broker", ["sentinel"], indirect=True)
ON_RABBITMQ = pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)


@contextmanager
def app_on(url: str) -> Iterator[None]:
    """The app in this process publishes to the broker at `url`, by the settings that this leads to."""
    from config.celery import app

    name = "CELERY_BROKER_URL"
    url_before = os.environ[name]
    if url_before == url:
        yield
        return
    os.environ[name] = url
    settings = settings_of_environment()
    before = {key: app.conf[key] for key in settings}
    connect_anew(app, settings)
    try:
        yield
    finally:
        os.environ[name] = url_before
        connect_anew(app, before)


def settings_of_environment() -> dict[str, Any]:
    """By Celery's names."""
    settings = run_path(str(APP_FOLDER / "celery_ops/settings.py"))
    return {name.removeprefix("CELERY_").lower(): settings[name] for name in settings["__all__"]}


def connect_anew(app: Any, settings: dict[str, Any]) -> None:
    pools.reset()  # type: ignore[no-untyped-call]
    app._pool = None
    app.conf.update(settings)
    # Its queues, routes and producers.
    vars(app).pop("amqp", None)
