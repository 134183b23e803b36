"""What is said of queued tasks that a new release cannot run."""

from __future__ import annotations

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.misfits import (
    REMEDY,
    Parameters,
    change_of,
    change_warnings,
    misfit_warnings,
)

PLAIN, NAMED, ANY, ANY_PLACE = "POSITIONAL_OR_KEYWORD", "KEYWORD_ONLY", "VAR_KEYWORD", "VAR_POSITIONAL"
ORDER = [("order", PLAIN, False), ("text", PLAIN, True)]
NOTHING = {"misfits": [], "passed_over": {}, "unread_outbox": "", "unread_broker": ""}


def test_each_task_has_a_line_with_count_reason_and_remedy() -> None:
    found = {**NOTHING, "misfits": [["shop.ship", "it has no such task", 1], ["shop.wrap", "too many", 12]]}
    assert list(misfit_warnings(found)) == [
        f"shop.ship: 1 waits that the new release cannot run (it has no such task); {REMEDY}",
        f"shop.wrap: 12 wait that the new release cannot run (too many); {REMEDY}",
    ]


def test_what_was_not_looked_at_is_named() -> None:
    assert list(misfit_warnings(NOTHING)) == []
    found = {**NOTHING, "passed_over": {"celery": 5}, "unread_outbox": "no table"}
    assert list(misfit_warnings(found)) == [
        "queue celery: 5 messages more than were held against the tasks of the new release",
        "the outbox was not held against the tasks of the new release (no table)",
    ]


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (ORDER, ""),
        ([*ORDER, ("more", PLAIN, True)], ""),
        ([("order", PLAIN, False), ("options", ANY, False)], "'text' has no place any more"),
        ([("rest", ANY_PLACE, False), ("options", ANY, False)], ""),
        ([("order", PLAIN, False), ("text", NAMED, True)], "'text' has another place"),
        (ORDER[::-1], "'order' has another place, 'text' has another place"),
        (None, "it has no such task"),
        ([*ORDER, ("place", NAMED, False)], "'place' is required"),
        ([("order", PLAIN, False)], "'text' is gone"),
        ([("number", PLAIN, False), ("text", PLAIN, True)], "'number' is required, 'order' is gone"),
        ([("order", PLAIN, False), ("text", PLAIN, False)], "'text' may not be left out any more"),
    ],
)
def test_where_messages_are_not_read_a_change_that_a_call_may_not_fit_is_named(
    after: Parameters | None, said: str
) -> None:
    assert change_of(ORDER, after) == said
    release = {} if after is None else {"shop.ship": after}
    told = list(change_warnings("it shows none", {"shop.ship": ORDER}, {**release, "shop.new": ORDER}))
    line = f"shop.ship: what waits of it at the broker may not fit the new release ({said}; it shows none); {REMEDY}"
    assert told == ([line] if said else [])


def test_a_task_that_took_anything_has_to_go_on_with_it() -> None:
    before = [("order", PLAIN, False), ("rest", ANY_PLACE, False), ("options", ANY, False)]
    assert change_of(before, ORDER) == "'rest' is gone, 'options' is gone"
    assert change_of(before, before) == ""
