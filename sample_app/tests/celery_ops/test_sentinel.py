"""What holds on Redis behind Sentinel: whoever talks to the broker follows the primary."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from kombu.connection import Connection
from kombu.exceptions import OperationalError

from celery_ops import redis_settings, sentinel_settings, sweep, tls
from celery_ops.environment import urls
from celery_ops.views import reach_broker
from config.celery import app
from tests.brokers import ON_SENTINEL
from tests.celery_ops.tasks import effect
from tests.conftest import worker_arguments
from tests.gate import Gate
from tests.outbox import make_due, row, until_ended
from tests.processes import Process
from tests.sentinel import RedisBehindSentinel, Server
from tests.services import PASSWORD, PREFIX, Services
from tests.waiting import until

pytestmark = [
    ON_SENTINEL,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("empty_broker", "forgotten_outage"),
]


@pytest.fixture(autouse=True)
def whole_group(broker: RedisBehindSentinel) -> Iterator[None]:
    yield
    for server in broker.servers:
        server.come_back()
    until(broker.is_whole, seconds=60, why="the killed server is a replica of the others' primary")


@pytest.fixture
def start(start_celery: Callable[..., Process], broker: RedisBehindSentinel) -> Callable[..., Process]:
    def start_one(name: str, **options: Any) -> Process:
        results = {"CELERY_RESULT_BACKEND": broker.database_url(1)}
        process = start_celery(name, *worker_arguments(name, **options), **results)
        process.until_consuming()
        return process

    return start_one


def publish(path: str, text: str, ids: dict[str, str]) -> None:
    ids[text] = effect.delay_on_commit(path, text)


def connect(broker: RedisBehindSentinel, **changes: Any) -> None:
    (url, *_) = urls("CELERY_BROKER_URL", sentinel_settings.SCHEMES, broker.url)
    options = app.conf.broker_transport_options | sentinel_settings.options(tls.files(), url)
    options["sentinel_kwargs"] |= changes
    ssl = redis_settings.use_ssl(tls.files())
    with Connection(broker.url, ssl=ssl, transport_options=options) as connection:  # type: ignore[no-untyped-call]
        connection.ensure_connection(max_retries=1, interval_start=0)


@pytest.mark.parametrize(
    "changes",
    [{"password": "wrong"}, {"ssl_certfile": None, "ssl_keyfile": None}, {"ssl": False}],
    ids=["another password", "without a certificate", "plain text"],
)
def test_a_sentinel_refuses(broker: RedisBehindSentinel, changes: dict[str, Any]) -> None:
    connect(broker)
    with pytest.raises(OperationalError):
        connect(broker, **changes)


def test_a_ca_of_the_system_is_not_the_sentinels(
    broker: RedisBehindSentinel, services: Services, other_ca: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(services.authority.path))
    connect(broker)
    with pytest.raises(OperationalError):
        connect(broker, ssl_ca_certs=other_ca)


def test_passwords_are_in_no_log(broker: RedisBehindSentinel, start: Callable[..., Process]) -> None:
    worker = start("worker")
    assert "sentinel://" in worker.log
    assert PASSWORD not in worker.log


@pytest.mark.parametrize(
    ("pool", "fault"), [("prefork", Server.kill), ("gevent", Server.freeze)], ids=["killed", "frozen"]
)
def test_a_primary_that_is_gone_costs_no_task(
    broker: RedisBehindSentinel,
    gate: Gate,
    start: Callable[..., Process],
    pool: str,
    fault: Callable[[Server], None],
) -> None:
    path = str(gate.path)
    start("worker", pool=pool)
    ids: dict[str, str] = {}
    for number in range(2):
        publish(path, f"running {number}", ids)
    until(lambda: len(gate.arrivals) == 2)
    for number in range(5):
        publish(path, f"waiting {number}", ids)
    gone = broker.primary
    fault(gone)
    publish(path, "meanwhile", ids)
    broker.until_another_is_primary(gone)
    until(partial(can_publish, path, ids), why="the publisher follows")
    reach_broker()
    gate.open()
    until_done(ids)
    assert sorted(gate.effects) == sorted(ids)
    until(lambda: app_results(broker) >= len(ids), why="results are stored at the new primary")


def can_publish(path: str, ids: dict[str, str]) -> bool:
    text = f"after {len(ids)}"
    publish(path, text, ids)
    return row(ids[text]).sent_at is not None


def app_results(broker: RedisBehindSentinel) -> int:
    with broker.client(broker.primary) as client:
        client.select(1)
        return len(list(client.scan_iter(f"{PREFIX}celery-task-meta-*")))


def until_done(ids: dict[str, str]) -> None:
    """The sweep sends what the killed primary had and no replica."""

    def all_ended() -> bool:
        still_open = [task_id for task_id in ids.values() if not row(task_id).acknowledged_at]
        for task_id in still_open:
            make_due(task_id)
        with suppress(OperationalError):
            sweep.sweep()
        return not still_open

    until(all_ended, seconds=150, every=1, why="tasks end")
    until_ended(*ids.values())
