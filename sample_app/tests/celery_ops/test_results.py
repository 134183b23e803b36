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
    for name, seconds in (("kept", -60), ("expired", 60)):
        TaskResult.objects.create(task_id=name)
        ended = timezone.now() - timedelta(seconds=app.conf.result_expires + seconds)
        TaskResult.objects.filter(task_id=name).update(date_done=ended)
    app.tasks["celery.backend_cleanup"]()
    assert list(TaskResult.objects.values_list("task_id", flat=True)) == ["kept"]
