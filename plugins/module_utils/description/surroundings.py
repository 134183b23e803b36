"""What a description is checked against besides itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path as File


@dataclass(frozen=True)
class Surroundings:
    """The inventory's groups, the secrets that exist with their values, and the time."""

    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    # The folder of the control node that remembers earlier runs.
    state: File | None = None

    def hosts(self, name: str) -> list[str]:
        """Hosts of a group, or the host of that name."""
        if name in self.groups:
            return list(self.groups[name])
        return [name] if name in self.groups.get("all", ()) else []
