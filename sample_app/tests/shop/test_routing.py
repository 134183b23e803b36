from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from celery.app.routes import prepare
from django.conf import settings as django_settings
from pytest_django import Settings

from celery_ops.models import OutboxMessage
from config.celery import app
from shop import imports
from shop.import_tasks import import_rows
from shop.models import ProductImport
from shop.routing import shard_of
from tests.conftest import worker_arguments
from tests.processes import Process
from tests.waiting import until

QUEUES = ["imports-0", "imports-1", "imports-2"]


def queue_for(name: str, *args: object) -> str:
    return str(app.amqp.router.route({}, name, args)["queue"].name)


@pytest.fixture
def described(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], None]:
    """Gives the app a description's routes, before those of the settings that take a function."""

    def describe(routes: dict[str, str]) -> None:
        monkeypatch.setattr(app.amqp.router, "routes", prepare([routes, *django_settings.CELERY_TASK_ROUTES[1:]]))

    return describe


def test_a_name_comes_before_a_pattern(described: Callable[[dict[str, str]], None]) -> None:
    described({"shop.tasks.charge_order": "high_priority", "shop.tasks.*": "others"})
    assert queue_for("shop.tasks.charge_order", 1) == "high_priority"
    assert queue_for("shop.tasks.ship_order", 1) == "others"
    assert queue_for("shop.sales_tasks.count_sold", 1) == "celery"


def test_the_parts_of_an_import_share_a_queue_and_imports_do_not(settings: Settings) -> None:
    settings.SHOP_IMPORT_QUEUES = QUEUES
    queues = {key: {queue_for(import_rows.name, key, line, line) for line in (2, 1002)} for key in range(30)}
    assert all(len(each) == 1 for each in queues.values())
    assert Counter(queue for each in queues.values() for queue in each).keys() == set(QUEUES)
    assert queue_for("shop.import_tasks.finish_import", 1) == "celery"


def test_a_description_without_such_queues_has_no_message_there(settings: Settings) -> None:
    settings.SHOP_IMPORT_QUEUES = []
    assert queue_for(import_rows.name, 1, 2, 3) == "celery"


def test_the_description_has_the_first_word(settings: Settings, described: Callable[[dict[str, str]], None]) -> None:
    settings.SHOP_IMPORT_QUEUES = QUEUES
    described({"shop.import_tasks.*": "reports"})
    assert queue_for(import_rows.name, 1, 2, 3) == "reports"


def test_a_shard_is_the_same_in_every_process() -> None:
    assert [shard_of(key, QUEUES) for key in (1, 2, "1")] == ["imports-2", "imports-1", "imports-2"]


def test_an_import_is_done_by_the_worker_of_its_shard(
    start_celery: Callable[..., Process], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SHOP_IMPORT_QUEUES = QUEUES
    monkeypatch.setattr(imports, "ROWS_OF_A_TASK", 2)
    start_celery(
        "worker", *worker_arguments(queues=f"celery,{','.join(QUEUES)}"), SHOP_IMPORT_QUEUES=",".join(QUEUES)
    ).until_consuming()
    started = imports.start("teas.csv", b"name,price\na,1\nb,1\nc,1\n")
    until(lambda: ProductImport.objects.get(pk=started.pk).state == "done", why="the import is done")
    queues = set(OutboxMessage.objects.filter(task=import_rows.name).values_list("queue", flat=True))
    assert queues == {shard_of(started.pk, QUEUES)}
