"""Queued tasks that a new release cannot run, in the words of its warnings. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.stranded import messages

# Of inspect.Parameter.
BY_NAME = ("POSITIONAL_OR_KEYWORD", "KEYWORD_ONLY")
ANY_NAME = "VAR_KEYWORD"

REMEDY = "have deploy or rollback end it first, by -e stalk_drain_first=true, or keep what it was for one release"

Parameters = Sequence[tuple[str, str, bool]]


def misfit_warnings(found: Mapping[str, Any]) -> Iterator[str]:
    """Of what the new release told."""
    for task, reason, count in found["misfits"]:
        waiting = f"{count} {'waits' if count == 1 else 'wait'}"
        yield f"{task}: {waiting} that the new release cannot run ({reason}); {REMEDY}"
    for queue, count in sorted(found["passed_over"].items()):
        yield f"queue {queue}: {messages(count)} more than were held against the tasks of the new release"
    if found["unread_outbox"]:
        yield f"the outbox was not held against the tasks of the new release ({found['unread_outbox']})"


def change_warnings(reason: str, before: Mapping[str, Parameters], after: Mapping[str, Parameters]) -> Iterator[str]:
    """Where messages at the broker are not read, for this reason: tasks that calls of before may not fit."""
    for task in sorted(before):
        if change := change_of(before[task], after.get(task)):
            yield f"{task}: what waits of it at the broker may not fit the new release ({change}; {reason}); {REMEDY}"


def change_of(before: Parameters, after: Parameters | None) -> str:
    """What a call that was right before lacks or has too much of; empty when every one is right."""
    if after is None:
        return "it has no such task"
    known, expected = names(before), names(after)
    required = [name for name, kind, may_lack in after if kind in BY_NAME and not may_lack and name not in known]
    takes_any = any(kind == ANY_NAME for _, kind, _ in after)
    gone = [] if takes_any else [name for name, kind, _ in before if kind in BY_NAME and name not in expected]
    said = [f"{name!r} is required" for name in required] + [f"{name!r} is gone" for name in gone]
    return ", ".join(said + [f"{name!r} may not be left out any more" for name in now_needed(before, after)])


def now_needed(before: Parameters, after: Parameters) -> Iterator[str]:
    might_lack: Collection[str] = {name for name, kind, may_lack in before if kind in BY_NAME and may_lack}
    return (name for name, kind, may_lack in after if kind in BY_NAME and not may_lack and name in might_lack)


def names(parameters: Parameters) -> set[str]:
    return {name for name, _, _ in parameters}
