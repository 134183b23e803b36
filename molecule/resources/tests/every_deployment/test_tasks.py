"""Celery's own ways with tasks."""

from __future__ import annotations

import pytest
from resources.deployment import Deployment
from resources.task_behaviour import TaskBehaviour


@pytest.fixture
def stack(deployment: Deployment) -> Deployment:
    return deployment


class TestTasks(TaskBehaviour):
    pass
