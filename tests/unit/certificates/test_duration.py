from __future__ import annotations

from datetime import timedelta

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.certificates.duration import read_duration


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("365d", timedelta(days=365)),
        ("12h", timedelta(hours=12)),
        ("2w", timedelta(weeks=2)),
        (90, timedelta(seconds=90)),
        ("90", timedelta(seconds=90)),
    ],
)
def test_duration(written: str | int, meant: timedelta) -> None:
    assert read_duration(written) == meant


@pytest.mark.parametrize("written", ["", "d", "1y", "-3d", "1.5h", "9999999999d"])
def test_what_is_no_duration_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        read_duration(written)
