"""What beat starts, by code and by the database."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from zoneinfo import ZoneInfo

import pytest
from django.apps import apps
from django.test import Client
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from celery_ops.signatures import load_tasks
from config.celery import app
from tests.processes import Process
from tests.waiting import until

weekly_report = import_module("shop.migrations.0009_weekly_report")
NO_TASKS_YET = {"periodictask_set-TOTAL_FORMS": "0", "periodictask_set-INITIAL_FORMS": "0"}
IN_BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def entry(db: None) -> PeriodicTask:
    weekly_report.schedule(apps, None)
    return PeriodicTask.objects.get(name=weekly_report.NAME)


@pytest.mark.parametrize("month", [1, 7], ids=["winter", "summer"])
def test_an_entry_of_the_database_has_a_time_zone_of_its_own(entry: PeriodicTask, month: int) -> None:
    schedule = entry.schedule
    now = datetime(2027, month, 6, tzinfo=UTC)
    schedule.nowfun = lambda: now
    due = (now + schedule.remaining_estimate(now)).astimezone(IN_BERLIN)
    assert (due.weekday(), due.hour, due.minute) == (0, 8, 20)


@pytest.mark.django_db
def test_the_schedule_is_made_once_and_can_be_taken_back(entry: PeriodicTask) -> None:
    PeriodicTask.objects.filter(pk=entry.pk).update(enabled=False)
    weekly_report.schedule(apps, None)
    entry.refresh_from_db()
    assert not entry.enabled, "what the admin did stays"
    weekly_report.unschedule(apps, None)
    assert not PeriodicTask.objects.filter(name=weekly_report.NAME).exists()


@pytest.mark.django_db
def test_its_arguments_are_those_of_the_task(entry: PeriodicTask) -> None:
    load_tasks(app)
    task = app.tasks[entry.task]
    assert task.run(**json.loads(entry.kwargs)) is None


def test_a_running_beat_follows_the_admin(start_celery: Callable[..., Process], admin_client: Client) -> None:
    beat = start_celery("beat", "beat", "--loglevel=INFO")
    beat.until_beating(lambda told: bool(told["active"]))
    interval = {"every": "1", "period": "seconds"} | NO_TASKS_YET
    assert (
        admin_client.post("/admin/django_celery_beat/intervalschedule/add/", interval, secure=True).status_code == 302
    )
    fields = {
        "name": "by hand",
        "regtask": "shop.tasks.clean_up",
        "enabled": "on",
        "interval": IntervalSchedule.objects.get(every=1).pk,
        "args": "[]",
        "kwargs": "{}",
        "headers": "{}",
    }
    assert admin_client.post("/admin/django_celery_beat/periodictask/add/", fields, secure=True).status_code == 302
    until(lambda: PeriodicTask.objects.get(name="by hand").total_run_count, seconds=60, why="beat sends it")


def test_every_entry_of_the_code_is_a_task() -> None:
    load_tasks(app)
    assert {entry["task"] for entry in app.conf.beat_schedule.values()} <= set(app.tasks)
