"""Celery's own ways with tasks, on Redis."""

from __future__ import annotations

import pytest
from resources.task_behaviour import TaskBehaviour

from tests.cluster.release import Release


@pytest.fixture
def stack(standing_release: Release) -> Release:
    return standing_release


class TestTasks(TaskBehaviour):
    pass
