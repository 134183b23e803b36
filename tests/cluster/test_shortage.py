"""Redis without memory on Kubernetes."""

from __future__ import annotations

from functools import partial

import pytest
from resources.redis_shortage import shortage_without_loss

from tests.cluster.redis import ask, little_memory
from tests.cluster.release import Release, is_ready


@pytest.mark.long
def test_publishers_are_told_of_a_shortage_and_no_task_is_lost(standing_release: Release) -> None:
    statistics = partial(ask, standing_release, "INFO", "stats")
    with shortage_without_loss(standing_release, little_memory(standing_release), statistics):
        assert is_ready(standing_release.pods("redis")[0])
