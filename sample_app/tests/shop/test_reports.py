from __future__ import annotations

from decimal import Decimal

import pytest
from celery.exceptions import BackendStoreError, SoftTimeLimitExceeded
from celery.result import AsyncResult
from pytest_django import Settings

from celery_ops.models import OutboxMessage
from shop import tasks
from shop.models import Order, Report
from shop.reports import progress_of, request_report
from tests.outbox import until_ended
from tests.processes import Process
from tests.waiting import until

State = Report.State
BATCH = "00000000-0000-4000-8000-000000000000"


def make_orders(count: int, item: str = "Sencha") -> None:
    Order.objects.bulk_create(Order(batch=BATCH, item=item, amount=Decimal("0.10")) for _ in range(count))


def until_state(report: Report, state: str) -> Report:
    def reached() -> bool:
        report.refresh_from_db()
        return report.state == state

    until(reached, why=f"report {state}")
    return report


def test_a_report_shows_its_progress_and_adds_up_exactly(workers: dict[str, Process]) -> None:
    make_orders(23)
    make_orders(7, "Oolong")
    report = request_report()
    seen = set()

    def done() -> bool:
        report.refresh_from_db()
        seen.add(report.percent)
        return report.state == State.DONE

    until(done, why="report done")
    assert report.sales == {"Sencha": {"orders": 23, "revenue": "2.30"}, "Oolong": {"orders": 7, "revenue": "0.70"}}
    assert any(0 < percent < 100 for percent in seen)
    assert report.percent == 100


def test_the_state_of_the_task_tells_the_progress(workers: dict[str, Process]) -> None:
    make_orders(25)
    report = Report.objects.create(total=25, last_order=Order.objects.latest("pk").pk)
    result = AsyncResult(tasks.build_report.delay_on_commit(report.pk))
    until(lambda: result.state == "PROGRESS" and result.info["percent"] > 0, every=0.01, why="state PROGRESS")
    until_ended(result.id)


def test_two_deliveries_at_once_count_each_order_once(workers: dict[str, Process]) -> None:
    make_orders(50)
    report = Report.objects.create(total=50, last_order=Order.objects.latest("pk").pk)
    until_ended(*(tasks.build_report.delay_on_commit(report.pk) for _ in range(2)))
    report.refresh_from_db()
    assert report.sales["Sencha"] == {"orders": 50, "revenue": "5.00"}


def test_the_time_limit_stops_a_report_and_a_new_start_goes_on(workers: dict[str, Process]) -> None:
    make_orders(24)
    report = Report.objects.create(total=24, last_order=Order.objects.latest("pk").pk)
    task_id = tasks.build_report.apply_async_on_commit([report.pk], soft_time_limit=1)
    until_state(report, State.STOPPED)
    until_ended(task_id, state="FAILURE")
    goes_on_from_where_it_stopped(report)


def test_a_report_that_the_hard_limit_killed_can_go_on(workers: dict[str, Process]) -> None:
    make_orders(24)
    report = Report.objects.create(total=24, last_order=Order.objects.latest("pk").pk)
    until_ended(tasks.build_report.apply_async_on_commit([report.pk], time_limit=1), state="FAILURE")
    report.refresh_from_db()
    assert report.state == State.RUNNING, "nobody could tell it"
    goes_on_from_where_it_stopped(report)


def goes_on_from_where_it_stopped(report: Report) -> None:
    progress = progress_of(report)
    assert 0 < report.percent < 100
    assert (progress["state"], progress["moving"]) == ("stopped", False)
    assert progress["summary"].startswith(f"Stopped at {report.percent} %.")
    assert request_report() == report
    until_state(report, State.DONE)
    assert report.sales["Sencha"]["orders"] == 24


@pytest.mark.django_db
def test_a_result_store_that_is_away_does_not_end_a_report(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ConnectionError("Redis restarts")

    settings.SHOP_REPORT_SECONDS = 0
    make_orders(3)
    report = Report.objects.create(total=3, last_order=Order.objects.latest("pk").pk)
    monkeypatch.setattr(tasks.build_report, "update_state", fail)
    tasks.build_report(report.pk)
    report.refresh_from_db()
    assert report.state == State.DONE


@pytest.mark.django_db
@pytest.mark.parametrize("moment", ["before the first orders", "while the progress is told"])
def test_a_soft_limit_stops_a_report_at_any_moment(monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    def limit(*_: object) -> None:
        raise SoftTimeLimitExceeded

    def limit_in_store(*_: object, **__: object) -> None:
        raise BackendStoreError from SoftTimeLimitExceeded()

    make_orders(3)
    report = Report.objects.create(total=3, last_order=Order.objects.latest("pk").pk)
    if moment == "before the first orders":
        monkeypatch.setattr(Report.objects, "advance", limit)
    else:
        monkeypatch.setattr(tasks.build_report, "update_state", limit_in_store)
    with pytest.raises(SoftTimeLimitExceeded):
        tasks.build_report(report.pk)
    report.refresh_from_db()
    assert report.state == State.STOPPED


@pytest.mark.django_db
def test_a_report_that_got_done_since_it_was_read_is_done() -> None:
    report = request_report()
    Report.objects.advance(report.pk)
    OutboxMessage.objects.all().update(acknowledged_at=report.requested_at, state="SUCCESS")
    assert progress_of(report)["state"] == "done"


@pytest.mark.django_db
def test_only_one_report_at_a_time() -> None:
    first = request_report()
    assert request_report() == first
    assert OutboxMessage.objects.count() == 1


@pytest.mark.django_db
def test_a_report_covers_the_orders_that_there_were() -> None:
    make_orders(3)
    report = request_report()
    make_orders(3, "Oolong")
    while (advanced := Report.objects.advance(report.pk)) and advanced.is_moving:
        pass
    report.refresh_from_db()
    assert (report.state, list(report.sales)) == (State.DONE, ["Sencha"])
    assert Report.objects.advance(report.pk) is None


@pytest.mark.django_db
def test_a_report_about_no_orders_is_done_at_once() -> None:
    report = request_report()
    Report.objects.advance(report.pk)
    report.refresh_from_db()
    assert progress_of(report) | {"id": 0} == {
        "id": 0,
        "state": "done",
        "percent": 100,
        "moving": False,
        "summary": "Done: there are no orders yet",
        "sales": [],
    }
