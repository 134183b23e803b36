from __future__ import annotations

from decimal import Decimal

import pytest
from celery.exceptions import BackendStoreError, SoftTimeLimitExceeded
from celery.result import AsyncResult
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from celery_ops.models import OutboxMessage
from shop import tasks
from shop.models import Order, Report, ReportFile
from shop.report_tasks import start_report
from shop.reports import cancel, progress_of, request_report
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
    OutboxMessage.objects.all().update(acknowledged_at=report.finished_at, state="SUCCESS")
    assert progress_of(report) | {"id": 0} == {
        "id": 0,
        "state": "done",
        "percent": 100,
        "moving": False,
        "summary": "Done: there are no orders yet",
        "sales": [],
        "file": "",
    }


def test_a_report_that_is_done_has_a_file(workers: dict[str, Process], client: Client) -> None:
    make_orders(3, "Pu-erh 普洱 (" + "x" * 60)
    report = request_report()
    until(lambda: ReportFile.objects.filter(report=report).exists(), why="the file is written")
    page = client.get("/", secure=True).content.decode()
    assert f'<a href="/reports/{report.pk}.pdf">Download it as PDF</a>' in page
    answer = client.get(f"/reports/{report.pk}.pdf", secure=True)
    assert answer.content.startswith(b"%PDF-")
    assert answer.content.rstrip().endswith(b"%%EOF")
    assert answer.headers["Content-Type"] == "application/pdf"
    assert client.get(f"/reports/{report.pk + 1}.pdf", secure=True).status_code == 404


def test_a_report_is_cancelled_between_two_slices(workers: dict[str, Process], client: Client) -> None:
    make_orders(25)
    report = request_report()
    until(lambda: Report.objects.get(pk=report.pk).percent > 0, every=0.01, why="it has begun")
    assert client.post(f"/reports/{report.pk}/cancel/", secure=True).headers["Location"] == "/#report"
    until(lambda: not OutboxMessage.objects.filter(acknowledged_at=None).exists(), why="its tasks have ended")
    report.refresh_from_db()
    progress = progress_of(report)
    assert 0 < report.percent < 100
    assert (progress["state"], progress["moving"]) == ("cancelled", False)
    assert progress["summary"] == f"Cancelled at {report.percent} %"
    assert not ReportFile.objects.exists()
    assert request_report() != report, "a cancelled one is not gone on with"
    cancel(Report.objects.get(pk=report.pk))


def test_a_cancel_before_its_turn_is_a_revoked_message(workers: dict[str, Process]) -> None:
    later = tasks.build_report.apply_async_on_commit([(report := Report.objects.create()).pk], countdown=3)
    cancel(report)
    until_ended(later, state="REVOKED")


def test_a_time_limit_leaves_no_half_file(workers: dict[str, Process]) -> None:
    sales = {f"Tea {number}": {"orders": 1, "revenue": "1.00"} for number in range(40_000)}
    report = Report.objects.create(state=State.DONE, sales=sales, finished_at=timezone.now())
    until_ended(tasks.write_report_file.apply_async_on_commit([report.pk], soft_time_limit=1), state="FAILURE")
    assert not ReportFile.objects.exists()
    Report.objects.filter(pk=report.pk).update(sales={})
    until_ended(tasks.write_report_file.delay_on_commit(report.pk))
    assert ReportFile.objects.filter(report=report).exists()


@pytest.mark.django_db
def test_a_file_is_written_once_however_often_it_is_asked_for() -> None:
    report = Report.objects.create(state=State.DONE)
    for _ in range(2):
        tasks.write_report_file(report.pk)
    assert ReportFile.objects.count() == 1
    tasks.write_report_file(Report.objects.create().pk)
    assert ReportFile.objects.count() == 1, "of what is not done there is none"


def test_a_schedule_starts_a_report_of_its_title(workers: dict[str, Process]) -> None:
    until_ended(start_report.delay_on_commit(wanted={"title": "Weekly sales"}))
    assert str(until_state(Report.objects.get(), State.DONE)).startswith("Weekly sales ")


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [({}, "Field required"), ({"title": ""}, "at least 1 character"), ({"title": "x", "of": 1}, "Extra inputs")],
)
def test_a_schedule_with_wrong_arguments_fails_with_the_reason(
    workers: dict[str, Process], wanted: dict[str, object], reason: str
) -> None:
    task_id = start_report.delay_on_commit(wanted=wanted)
    until_ended(task_id, state="FAILURE")
    assert reason in AsyncResult(task_id).traceback
    assert not Report.objects.exists()
