"""Redis without room on Kubernetes: it drops nothing, publishers are told, and the outbox sends once there is room."""

from __future__ import annotations

import pytest
from resources.effects import once
from resources.publisher import publisher_hears
from resources.waiting import wait_for

from tests.cluster.redis import evicted, little_memory
from tests.cluster.release import Release

SECONDS_UNTIL_THE_OUTBOX_HAS_SENT = 300


@pytest.mark.long
def test_publishers_are_told_of_a_shortage_and_no_task_is_lost(standing_release: Release) -> None:
    with little_memory(standing_release) as error:
        wait_for("a publisher is told", lambda: publisher_hears(standing_release, error))
        keys = standing_release.send_effects("without-room", 3, 0)
        assert evicted(standing_release) == "evicted_keys:0"
        assert standing_release.ledger(keys) == {}
    assert once(standing_release.all_effects(keys, SECONDS_UNTIL_THE_OUTBOX_HAS_SENT))
