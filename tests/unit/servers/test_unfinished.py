"""What the release before has still to do."""

from __future__ import annotations

from ansible_collections.stalk.celery.plugins.module_utils.unfinished import (
    is_telling,
    left_at_broker,
    left_for_later,
    left_in_outbox,
)

QUEUES = ["celery", "reports"]


def test_what_waits_in_queues_of_pools_and_what_workers_hold_is_left() -> None:
    figures = {"queues": {"celery": 2, "celery\x06\x163": 1, "@dead.io": 1, "misspelt": 4}, "taken": 1, "delayed": 2}
    assert list(left_at_broker(figures, QUEUES)) == [
        "queue celery: 3 messages wait",
        "workers hold 1 message",
        "2 messages wait for later",
    ]


def test_an_empty_broker_has_nothing_left() -> None:
    assert list(left_at_broker({"queues": {"celery": 0}, "taken": 0}, QUEUES)) == []


def test_a_replica_does_not_tell_for_its_primary() -> None:
    assert not is_telling({"queues": {"celery": 0}, "taken": 0, "role": "replica"})
    assert is_telling({"queues": {"celery": 0}, "taken": 0, "role": "primary"})
    assert is_telling({"error": "refused"})


def test_a_broker_that_does_not_tell_is_not_empty() -> None:
    assert list(left_at_broker({"error": "refused"}, QUEUES)) == [
        "the broker does not tell how many messages wait (refused)"
    ]


def test_open_rows_are_left_by_task() -> None:
    told = {"open": [["shop.ship", 1], ["shop.wrap", 2]]}
    assert list(left_in_outbox(told)) == ["outbox: 1 of shop.ship is open", "outbox: 2 of shop.wrap are open"]


def test_of_what_starts_later_that_counts_which_starts_too_late() -> None:
    told = {"later": [{"task": "shop.ship", "count": 2, "last": "2026-12-05T10:00:00+00:00", "seconds": 700.0}]}
    line = "shop.ship: 2 wait for later, the last until 2026-12-05T10:00:00+00:00"
    assert list(left_for_later(told)) == list(left_for_later(told, 600)) == [line]
    assert list(left_for_later(told, 800)) == []
