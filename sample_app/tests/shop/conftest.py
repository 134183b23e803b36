from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from celery.signals import before_task_publish
from django.db import connection

from tests.processes import Process
from tests.services import PREFIX, Services
from tests.shop.receiver import Receiver
from tests.waiting import until

if TYPE_CHECKING:
    from shop.models import Order, Product

POOLS = {"main": ("prefork", 2, "celery,high_priority,reports"), "io": ("gevent", 20, "webhooks")}
ALL_QUEUES = [queue for _, _, queues in POOLS.values() for queue in queues.split(",")]
REPORT_SECONDS = "2"


@pytest.fixture(scope="package")
def running_receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture(scope="package")
def running_workers(
    environment: dict[str, str], running_receiver: Receiver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Process]]:
    """One worker of each kind for all tests here: starting them takes longer than the tests."""
    workers = {}
    for name, (pool, concurrency, queues) in POOLS.items():
        arguments = ["worker", f"--hostname={name}@test", f"--pool={pool}", f"--concurrency={concurrency}"]
        arguments += [f"--queues={queues}", "--prefetch-multiplier=1", "--disable-prefetch", "--loglevel=INFO"]
        variables = {
            "PGAPPNAME": name,
            "SHOP_WEBHOOK_URL": running_receiver.url,
            "SHOP_REPORT_SECONDS": REPORT_SECONDS,
        }
        workers[name] = Process(name, arguments, environment | variables, tmp_path_factory.mktemp(name))
    for worker in workers.values():
        worker.until_consuming()
    yield workers
    for worker in workers.values():
        worker.signal(signal.SIGTERM)
    for worker in workers.values():
        worker.close()


@pytest.fixture
def workers(
    running_workers: dict[str, Process], services: Services, transactional_db: None
) -> Iterator[dict[str, Process]]:
    """The workers; after the test they are waited for, as emptying the tables would get in their way."""
    with services.redis.client() as client:
        # Held by workers of other tests, which were killed at the end of these.
        client.delete(f"{PREFIX}unacked", f"{PREFIX}unacked_index")
        yield running_workers
        messages = [f"{PREFIX}{queue}" for queue in ALL_QUEUES]
        until(
            lambda: not client.hlen(f"{PREFIX}unacked") and not any(client.llen(queue) for queue in messages),
            why="the workers have nothing left to do",
        )


@pytest.fixture
def receiver(running_receiver: Receiver) -> Receiver:
    running_receiver.clear()
    return running_receiver


@pytest.fixture
def order(db: None) -> Order:
    # This file is read before Django has its settings.
    from shop.models import Order

    return Order.objects.create(batch=uuid4(), item="Sencha, 100 g", amount=Decimal("9.50"))


@pytest.fixture
def catalogue(db: None) -> list[Product]:
    """A test that commits leaves all tables empty, those that migrations filled too."""
    from shop.models import Product

    teas = {"Darjeeling, 100 g": "14.90", "Sencha, 100 g": "9.50", "Earl Grey, 250 g": "12.80"}
    Product.objects.all().delete()
    return Product.objects.bulk_create(Product(name=name, price=Decimal(price)) for name, price in teas.items())


@pytest.fixture
def published() -> Iterator[list[str]]:
    """Names of the tasks that this process sends to the broker."""
    names: list[str] = []

    def note(sender: str, **kwargs: object) -> None:
        names.append(sender)

    before_task_publish.connect(note)
    yield names
    before_task_publish.disconnect(note)


@pytest.fixture
def backends() -> Callable[..., list[int]]:
    """Process ids of the database's connections from a worker, or of those that wait for a lock."""

    def find(worker: str, waiting_for_lock: bool = False) -> list[int]:
        with connection.cursor() as cursor:
            # Within a transaction PostgreSQL shows what it showed before.
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(
                "SELECT pid FROM pg_stat_activity WHERE application_name = %s AND (NOT %s OR wait_event_type = 'Lock')",
                [worker, waiting_for_lock],
            )
            return [pid for (pid,) in cursor.fetchall()]

    return find
