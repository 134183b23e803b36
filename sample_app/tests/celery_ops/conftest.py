from __future__ import annotations

from pathlib import Path

import pytest

from tests.gate import Gate


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path / "gate")


@pytest.fixture
def forgotten_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier test met of a broker that was away keeps no message of this one back."""
    monkeypatch.setattr("celery_ops.outbox.broker_is_away_until", 0.0)
