"""The release that a rollback goes back to."""

from __future__ import annotations

import pytest
from ansible_collections.stalk.celery.plugins.filter.release_before import release_before


def host(current: str, *releases: str, before: str = "") -> dict[str, object]:
    return {"before": before, "current": current, "releases": list(releases)}


@pytest.mark.parametrize(
    ("hosts", "before"),
    [
        ([host("v3", "v3", "v2", "v1")], "v2"),
        # One that is current again is older than the newest, which stays.
        ([host("v2", "v3", "v2", "v1")], "v1"),
        ([host("v1", "v2", "v1")], ""),
        ([host("v1")], ""),
        ([], ""),
        # A host lacks the one between.
        ([host("v3", "v3", "v2", "v1"), host("v3", "v3", "v1")], "v1"),
        # A rollout ended half-way; on the second host the release came up, or not.
        ([host("v1", "v1", "v0"), host("v2", "v2", "v1", "v0")], "v1"),
        ([host("v1", "v1", "v0"), host("v2", "v1", "v0")], "v1"),
        ([host("v2", "v2", "v1", "v0"), host("v1", "v1", "v0")], "v1"),
        ([host("v2", "v2"), host("v2", "v2")], ""),
        # Some processes went back to v1, and pools beside them did not.
        ([host("v1", "v1", "v0", before="v1")], "v1"),
        # A rollback was interrupted, and what it left is proven still.
        ([host("v2", "v3", "v2", "v1", before="v3")], "v2"),
        ([host("v2", "v3", "v2", "v1", before="v3"), host("v3", "v3", "v2", "v1")], "v2"),
    ],
)
def test_it_is_the_newest_that_every_host_has_before_the_newest_that_runs(
    hosts: list[dict[str, object]], before: str
) -> None:
    assert release_before(hosts) == before
