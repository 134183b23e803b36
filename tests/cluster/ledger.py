"""What tests read in the ledger of effects, and in the outbox."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from resources.effects import LedgerLine

from tests.cluster.release import Release


def once(ledger: Mapping[str, LedgerLine]) -> bool:
    """Whether each task took effect once; fails with those that did not."""
    others = {key: line for key, line in ledger.items() if line.effects != 1}
    assert not others, others
    return True


def once_in_one_run(ledger: Mapping[str, LedgerLine]) -> bool:
    """The same, of tasks that nothing interrupted."""
    others = {key: line for key, line in ledger.items() if line.starts > 1 or line.effects != 1}
    assert not others, others
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


def pod_of(worker: str) -> str:
    """Of `default@shop-worker-default-1/23/45`, as a run calls itself, or of the name of a worker."""
    return worker.partition("@")[2].partition("/")[0]
