"""Names of the units of an app's workers, and where workers and beat tell that they live."""

from __future__ import annotations

from pathlib import Path

RUN = Path("/run")


def worker_unit(app: str, pool: str) -> str:
    """`pool` may be a pattern."""
    return f"{app}-worker@{pool}.service"


def heartbeat_of(unit: str, run: Path = RUN) -> Path:
    """The file that the process of this unit, of a worker or of beat, writes in its RuntimeDirectory."""
    return run / unit.removesuffix(".service").replace("@", "-") / "heartbeat"
