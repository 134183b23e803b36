"""Results end by themselves: in Redis with their key, in the database by the task that beat sends every night."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from django_celery_results.backends.database import DatabaseBackend
from django_celery_results.models import TaskResult

from config.celery import app


@pytest.mark.django_db
def test_expired_results_leave_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "_backend_cache", DatabaseBackend(app, url="django-db"))
    monkeypatch.setattr(app.conf, "result_expires", 3600)
    for age in (3500, 3700):
        TaskResult.objects.create(task_id=str(age))
        TaskResult.objects.filter(task_id=str(age)).update(date_done=timezone.now() - timedelta(seconds=age))
    app.tasks["celery.backend_cleanup"]()
    assert list(TaskResult.objects.values_list("task_id", flat=True)) == ["3500"]
