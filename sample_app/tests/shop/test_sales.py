from __future__ import annotations

from decimal import Decimal

import pytest

from config.celery import app
from shop import sales_tasks
from shop.models import Order, Product
from tests.processes import Process
from tests.waiting import until

BATCH = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def teas(db: None) -> list[Product]:
    Product.objects.all().delete()
    teas = Product.objects.bulk_create(Product(name=f"Tea {number}", price=Decimal(1)) for number in range(7))
    Order.objects.bulk_create(
        Order(batch=BATCH, item=f"Tea {number}", amount=1) for number in range(3) for _ in range(number + 1)
    )
    return teas


@pytest.mark.parametrize(
    ("most", "messages"), [(7, {"celery.map": 1}), (3, {"celery.starmap": 3})], ids=["a few", "many"]
)
def test_each_product_is_counted(
    workers: dict[str, Process],
    teas: list[Product],
    published: list[str],
    monkeypatch: pytest.MonkeyPatch,
    most: int,
    messages: dict[str, int],
) -> None:
    monkeypatch.setattr(sales_tasks, "MOST_IN_A_MESSAGE", most)
    sales_tasks.count_all_sold()
    assert {name: published.count(name) for name in published} == messages
    until(lambda: list(Product.objects.values_list("sold", flat=True)) == [1, 2, 3, 0, 0, 0, 0], why="all are counted")


@pytest.mark.django_db
def test_a_product_that_is_gone_or_sold_no_more_is_no_failure(teas: list[Product]) -> None:
    sales_tasks.count_sold(10**9)
    Product.objects.update(sold=5)
    sales_tasks.count_sold(teas[6].pk)
    assert Product.objects.get(pk=teas[6].pk).sold == 0


def test_beat_starts_it_at_a_time_of_its_own() -> None:
    entries = app.conf.beat_schedule
    times = {
        (min(entry["schedule"].hour), min(entry["schedule"].minute))
        for entry in entries.values()
        if hasattr(entry["schedule"], "hour")
    }
    assert len(times) == 2
    assert not any(minute == 0 for _, minute in times)
    assert entries["count-sold-every-night"]["task"] == sales_tasks.count_all_sold.name
