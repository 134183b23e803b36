"""What tests read in the ledger of effects, and in the outbox."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from resources.effects import LedgerLine
from resources.waiting import wait_for

from tests.cluster.release import Release

SECONDS_UNTIL_ALL_RUN = 300


def ended_where_they_began(ledger: Mapping[str, LedgerLine], began: Mapping[str, str]) -> bool:
    """Whether each task took effect in the pod that worked on it when `holders` was asked; fails with the others."""
    moved = {key: (pod, ledger[key]) for key, pod in began.items() if pod_of(ledger[key].worker) != pod}
    assert not moved, moved
    return True


def workers_of(ledger: Mapping[str, LedgerLine], keys: Iterable[str]) -> set[str]:
    """The pods in which these tasks took effect."""
    return {pod_of(ledger[key].worker) for key in keys}


def holders(release: Release, keys: Iterable[str]) -> dict[str, str]:
    """The pods that work on these tasks now."""
    wanted = ", ".join(f"'{key}'" for key in keys)
    rows = release.sql(
        "SELECT args->>0, holder FROM celery_ops_outboxmessage"
        f" WHERE args->>0 IN ({wanted}) AND leased_until IS NOT NULL AND acknowledged_at IS NULL"
    )
    return {key: pod_of(holder) for key, holder in rows}


def until_all_run(release: Release, keys: Collection[str]) -> dict[str, str]:
    """The pods that work on these tasks, once each has one."""

    def all_held() -> dict[str, str]:
        found = holders(release, keys)
        return found if len(found) == len(keys) else {}

    return wait_for("all run", all_held, SECONDS_UNTIL_ALL_RUN)


def pod_of(worker: str) -> str:
    """Of `default@shop-worker-default-1/23/45`, as a run calls itself, or of the name of a worker."""
    return worker.partition("@")[2].partition("/")[0]
