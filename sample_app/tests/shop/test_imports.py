from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from importlib import import_module

import pytest
from celery import current_app
from django.apps import apps
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.test import Client

from celery_ops.models import OutboxMessage
from shop import imports, live
from shop.import_tasks import finish_import, import_rows
from shop.models import ImportRow, Product, ProductImport
from shop.models.imports import SLICE
from tests.brokers import ON_BOTH_BROKERS, ON_RABBITMQ
from tests.conftest import worker_arguments
from tests.outbox import in_another_transaction, until_ended
from tests.processes import Process
from tests.waiting import until

State = ProductImport.State
migration = import_module("shop.migrations.0002_products")


def file_of(count: int, price: str = "1.50") -> bytes:
    return ("name,price\n" + "".join(f"Tea {number},{price}\n" for number in range(count))).encode()


def cancelled(started: ProductImport) -> list[str]:
    imports.cancel(started)
    return []


def until_state(started: ProductImport, state: str) -> ProductImport:
    def reached() -> bool:
        started.refresh_from_db()
        return started.state == state

    until(reached, why=f"import {state}")
    return started


@ON_BOTH_BROKERS
def test_a_large_file_is_imported_by_many_tasks(worker: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "ROWS_OF_A_TASK", 150)
    started = until_state(imports.start("teas.csv", file_of(400)), State.DONE)
    assert Product.objects.filter(name__startswith="Tea ", price=Decimal("1.50")).count() == 400
    parts = OutboxMessage.objects.filter(task=import_rows.name, state="SUCCESS")
    until(lambda: parts.count() == 3, why="all parts are acknowledged")
    until_ended(OutboxMessage.objects.get(task=finish_import.name).pk)
    progress = imports.progress_of(started)
    assert (progress["done"], progress["moving"]) == (400, False)
    assert progress["summary"] == "Done: 400 of 400 rows"


@ON_RABBITMQ
def test_without_a_result_store_the_last_part_ends_it(
    start_celery: Callable[..., Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "ROWS_OF_A_TASK", 30)
    monkeypatch.setitem(current_app.conf, "task_ignore_result", True)
    start_celery("worker", *worker_arguments(), CELERY_RESULT_BACKEND="").until_consuming()
    until_state(imports.start("teas.csv", file_of(100)), State.DONE)
    assert not OutboxMessage.objects.filter(task=finish_import.name).exists()


def test_what_is_refused_is_named_by_line_and_reason(workers: dict[str, Process]) -> None:
    Product.objects.create(name="Sencha, 100 g", price=Decimal("9.50"))
    rows = [
        '"Sencha, 100 g",10.20',
        ",3",
        f"{'x' * 81},3",
        "Assam",
        "Assam,",
        "Ceylon,cheap",
        "Ceylon 2,0",
        "Ceylon 3,1.234",
        "Ceylon 4,12345678",
        '"Two\nlines",4',
        "",
        "Two lines,4,5",
        '"Sencha, 100 g",11',
        "Mate,NaN",
    ]
    started = imports.start("teas.csv", ("\ufeffName, Price\n" + "\n".join(rows)).encode())
    until_state(started, State.DONE)
    refused = {row.line: row.reason for row in started.rows.filter(state="refused")}
    assert refused == {
        3: "The name is missing.",
        4: "The name is longer than 80 characters.",
        5: "The row has 1 columns, not 2.",
        6: "The price is missing.",
        7: "The price is no number, such as 9.50.",
        8: "The price is below 0.01.",
        9: "The price has more than two decimals.",
        10: "The price is above 999999.99.",
        14: "The row has 3 columns, not 2.",
        15: "The same name is in line 2.",
        16: "The price is no number, such as 9.50.",
    }
    assert Product.objects.get(name="Sencha, 100 g").price == Decimal("10.20")
    assert Product.objects.get(name="Two\nlines").price == 4
    assert imports.progress_of(started)["outcome"] == "2 imported, 11 refused"


def test_every_part_twice_has_one_effect(workers: dict[str, Process]) -> None:
    started = until_state(imports.start("teas.csv", file_of(3)), State.DONE)
    Product.objects.filter(name="Tea 0").update(price=7)
    until_ended(import_rows.delay_on_commit(started.pk, 2, 4), finish_import.delay_on_commit(started.pk))
    assert Product.objects.get(name="Tea 0").price == 7, "changed after its import"


@pytest.mark.django_db(transaction=True)
def test_of_two_deliveries_at_once_the_second_finds_nothing(backends: Callable[..., list[int]]) -> None:
    started = ProductImport.objects.create(file_name="teas.csv")
    started.rows.create(line=2, name="Tea", price="1")

    def take_in() -> bool:
        try:
            return ImportRow.objects.take_in(started.pk, 2, 2)
        finally:
            connection.close()

    with ThreadPoolExecutor() as threads:
        with transaction.atomic():
            assert ImportRow.objects.take_in(started.pk, 2, 2)
            second = threads.submit(take_in)
            until(lambda: backends("", waiting_for_lock=True), why="the second waits for the row")
        assert second.result() is False


def test_a_cancel_half_way_keeps_what_is_done_and_does_no_more(
    workers: dict[str, Process], backends: Callable[..., list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "ROWS_OF_A_TASK", 3 * SLICE)
    with transaction.atomic():
        started = imports.start("teas.csv", file_of(12 * SLICE))
    second_slice = started.rows.get(line=2 + SLICE)
    with transaction.atomic():
        ImportRow.objects.select_for_update().get(pk=second_slice.pk)
        until(lambda: backends("main", waiting_for_lock=True), why="a worker waits for the row")
        in_another_transaction(partial(cancelled, started))
    until_state(started, State.CANCELLED)
    messages = OutboxMessage.objects.filter(task=import_rows.name)
    until(lambda: not messages.filter(acknowledged_at=None).exists(), why="its tasks have ended")
    progress = imports.progress_of(started)
    imported = started.rows.filter(state="imported").count()
    assert SLICE <= imported < 12 * SLICE
    assert Product.objects.filter(name__startswith="Tea ").count() == imported
    assert progress["summary"] == f"Cancelled after {imported} of {12 * SLICE} rows. What is imported stays."
    assert not progress["moving"]
    assert imports.start("next.csv", file_of(1)), "another may start"


def test_an_import_that_its_time_limit_stopped_can_go_on(
    workers: dict[str, Process], backends: Callable[..., list[int]]
) -> None:
    started = ProductImport.objects.create(file_name="teas.csv")
    ImportRow.objects.bulk_create(
        ImportRow(product_import=started, line=line, name=f"Tea {line}", price="1") for line in range(2, 2 + 2 * SLICE)
    )
    last = started.rows.get(line=1 + 2 * SLICE)
    with transaction.atomic():
        ImportRow.objects.select_for_update().get(pk=last.pk)
        part = in_another_transaction(
            lambda: [import_rows.apply_async_on_commit((started.pk, 2, last.line), soft_time_limit=1)]
        )
        until(lambda: OutboxMessage.objects.get(pk=part[0]).state == "FAILURE", why="the limit")
    assert started.rows.filter(state="imported").count() == SLICE, "the slice that the limit hit is rolled back"
    assert imports.progress_of(started)["state"] == "stopped"
    imports.go_on(started)
    until_state(started, State.DONE)
    assert started.rows.filter(state="imported").count() == 2 * SLICE


@pytest.mark.django_db(transaction=True)
def test_a_cancel_does_without_a_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ConnectionError("Redis restarts")

    monkeypatch.setattr(current_app.control, "revoke", fail)
    started = imports.start("teas.csv", file_of(3))
    imports.cancel(started)
    import_rows(started.pk, 2, 4)
    assert not Product.objects.filter(name__startswith="Tea ").exists()


@pytest.mark.django_db
def test_one_import_at_a_time() -> None:
    started = imports.start("teas.csv", file_of(1))
    with pytest.raises(imports.AnotherIsRunning):
        imports.start("teas.csv", file_of(1))
    assert ImportRow.objects.count() == 1
    imports.go_on(started)
    assert OutboxMessage.objects.count() == 1, "nothing is sent again while it is at work"


@pytest.mark.parametrize("task", [import_rows, finish_import])
def test_an_import_that_is_gone_is_no_failure(workers: dict[str, Process], task: object) -> None:
    arguments = (10**9, 2, 3) if task is import_rows else (10**9,)
    until_ended(task.delay_on_commit(*arguments))  # type: ignore[attr-defined]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "The file is empty."),
        (b"a,b\n1,2\n", "The first line must be name,price."),
        (b"name,price\n", "The file has no rows below its first line."),
        (b"name,price\n\xff,1\n", "Line 2 is not UTF-8 text; save the file as UTF-8."),
        (b"name,price\n\0,1\n", "The file is not text; save it as CSV."),
        (b'name,price\n"a"b,1\n', "Line 2 is no CSV:"),
        (b"name,price\n" + b"x" * 5_000_000, "The file has more than 5 MB; split it."),
        (b"name,price\n" + b"x,1\n" * 50_001, "The file has more than 50000 rows; split it."),
    ],
)
def test_a_file_that_is_no_list_of_products_is_explained(admin_client: Client, content: bytes, reason: str) -> None:
    answer = admin_client.post("/imports/", {"file": SimpleUploadedFile("teas.csv", content)}, secure=True)
    assert answer.status_code == 400
    assert reason in answer.content.decode()
    assert not ProductImport.objects.exists()


@pytest.mark.django_db
def test_the_page_shows_an_import_and_its_buttons(admin_client: Client) -> None:
    Product.objects.all().delete()
    assert "There is nothing to sell yet" in admin_client.get("/imports/", secure=True).content.decode()
    upload = {"file": SimpleUploadedFile("<b>.csv", file_of(2))}
    assert admin_client.post("/imports/", upload, secure=True).headers["Location"] == "/imports/"
    started = ProductImport.objects.get()
    page = admin_client.get("/imports/", secure=True).content.decode()
    assert "&lt;b&gt;.csv" in page
    assert "Importing: 0 of 2 rows" in page
    upload = {"file": SimpleUploadedFile("teas.csv", file_of(2))}
    assert "Another import has not ended" in admin_client.post("/imports/", upload, secure=True).content.decode()
    assert admin_client.get(f"/imports/{started.pk}.json", secure=True).json()["moving"]
    assert admin_client.post(f"/imports/{started.pk}/go-on/", secure=True).status_code == 302
    assert admin_client.post(f"/imports/{started.pk}/cancel/", secure=True).status_code == 302
    assert "Cancelled after 0 of 2 rows" in admin_client.get("/imports/", secure=True).content.decode()
    for name in ("cancel/", "go-on/"):
        assert admin_client.get(f"/imports/{started.pk}/{name}", secure=True).status_code == 405
    for name in (".json", "/live"):
        assert admin_client.get(f"/imports/{started.pk + 1}{name}", secure=True).status_code == 404


@pytest.mark.parametrize("path", ["", "1.json", "1/live", "1/cancel/", "1/go-on/"])
def test_only_who_may_import_sees_or_changes_one(client: Client, path: str) -> None:
    for answer in (client.get(f"/imports/{path}", secure=True), client.post(f"/imports/{path}", secure=True)):
        assert answer.headers["Location"] == f"/admin/login/?next=/imports/{path}"


@pytest.mark.django_db
def test_a_stream_tells_what_changes_and_ends_with_the_import(admin_client: Client) -> None:
    started = imports.start("teas.csv", file_of(2))
    answer = admin_client.get(f"/imports/{started.pk}/live", secure=True)
    stream = iter(answer.streaming_content)  # type: ignore[attr-defined]
    assert next(stream) == b"retry: 1000\n\n"
    assert data_of(next(stream))["moving"]
    assert next(stream) == live.NOTHING_NEW.encode()
    imports.cancel(started)
    assert data_of(next(stream))["state"] == "cancelled"
    assert list(stream) == []


@pytest.mark.django_db
def test_a_second_stream_of_a_process_is_one_event(admin_client: Client) -> None:
    started = imports.start("teas.csv", file_of(2))
    path = f"/imports/{started.pk}/live"
    first = admin_client.get(path, secure=True)
    next(iter(first.streaming_content))  # type: ignore[attr-defined]
    assert len(list(admin_client.get(path, secure=True).streaming_content)) == 2  # type: ignore[attr-defined]
    first.close()
    assert live.streams.acquire(blocking=False), "a visitor who left holds no stream"
    live.streams.release()


def data_of(event: bytes) -> dict[str, object]:
    progress: dict[str, object] = json.loads(event.removeprefix(b"data: "))
    return progress


@pytest.mark.django_db
def test_the_catalogue_begins_with_five_teas() -> None:
    """As the migration gives it: a test that commits leaves it empty."""
    Product.objects.all().delete()
    migration.sell_teas(apps, None)
    assert [str(product.price) for product in Product.objects.all()] == ["14.90", "9.50", "12.80", "8.40", "16.20"]
