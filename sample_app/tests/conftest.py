from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import django
import pytest

from tests.brokers import app_on
from tests.pki import Authority
from tests.processes import Process
from tests.services import Broker, Services

ALL_QUEUES = "celery,high_priority,webhooks,reports"
started: list[Services] = []


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Before pytest-django reads the settings, which need the environment."""
    only_hands_out_tests = getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput")
    if config.option.collectonly or only_hands_out_tests or started:
        return
    services = Services()
    started.append(services)
    services.start()
    os.environ.update(services.environment)
    django.setup()


def pytest_unconfigure(config: pytest.Config) -> None:
    while started:
        started.pop().stop()


@pytest.fixture(scope="session")
def services() -> Services:
    return started[0]


@pytest.fixture(scope="session")
def environment(services: Services, django_db_setup: None) -> dict[str, str]:
    """The environment of a process of the app that uses the tests' database."""
    from django.db import connection

    database = services.postgresql.url(str(connection.settings_dict["NAME"]))
    return services.environment | {"DATABASE_URL": database}


@pytest.fixture
def other_ca(tmp_path: Path) -> str:
    """Path of a CA that has signed nothing of `services`."""
    return str(Authority(tmp_path / "other").path)


@pytest.fixture
def broker(request: pytest.FixtureRequest, services: Services) -> Iterator[Broker]:
    """The broker of the test's app and of the processes that it starts; Redis unless the test is ON_BOTH_BROKERS."""
    broker = services.broker(getattr(request, "param", "redis"))
    with app_on(broker.url):
        yield broker


@pytest.fixture
def empty_broker(services: Services, broker: Broker) -> None:
    """And an empty result store."""
    for each in {services.redis, broker}:
        each.empty()


@pytest.fixture
def start_celery(
    environment: dict[str, str], broker: Broker, empty_broker: None, transactional_db: None, tmp_path: Path
) -> Iterator[Callable[..., Process]]:
    """Starts `celery ARGUMENTS` with the tests' database; keywords are further variables."""
    processes: list[Process] = []

    def start(name: str, *arguments: str, **variables: str) -> Process:
        process = Process(name, list(arguments), environment | {"CELERY_BROKER_URL": broker.url} | variables, tmp_path)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.close()


@pytest.fixture
def start_workers(start_celery: Callable[..., Process]) -> Callable[..., list[Process]]:
    """Starts real `celery worker` processes side by side and waits until each consumes; stopped after the test."""

    def start(*workers: dict[str, Any]) -> list[Process]:
        started = [start_celery(worker["name"], *worker_arguments(**worker)) for worker in workers]
        for process in started:
            process.until_consuming()
        return started

    return start


def worker_arguments(
    name: str = "worker",
    queues: str = ALL_QUEUES,
    pool: str = "prefork",
    concurrency: int = 2,
    arguments: tuple[str, ...] = (),
) -> list[str]:
    return [
        "worker",
        f"--hostname={name}@localhost",
        f"--pool={pool}",
        f"--concurrency={concurrency}",
        f"--queues={queues}",
        "--include=tests.celery_ops.tasks",
        "--loglevel=INFO",
        "--without-mingle",
        *arguments,
    ]


@pytest.fixture
def start_worker(start_workers: Callable[..., list[Process]]) -> Callable[..., Process]:
    def start(name: str = "worker", **options: Any) -> Process:
        return start_workers({"name": name, **options})[0]

    return start


@pytest.fixture
def worker(start_worker: Callable[..., Process]) -> Process:
    return start_worker()
