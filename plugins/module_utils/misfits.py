"""Queued tasks that a new release cannot run, in the words of its warnings. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.stranded import messages

# Of inspect.Parameter.
BY_NAME = ("POSITIONAL_OR_KEYWORD", "KEYWORD_ONLY")
BY_PLACE = ("POSITIONAL_ONLY", "POSITIONAL_OR_KEYWORD")
NAMED = {*BY_NAME, *BY_PLACE}
ANY_NAME, ANY_PLACE = "VAR_KEYWORD", "VAR_POSITIONAL"

REMEDY = "let deploy end it first, by -e stalk_drain_first=true, or keep what it was for one release"

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
    """What a call that was right before may lack or have too much of; empty when every one is right."""
    if after is None:
        return "it has no such task"
    return ", ".join([*missing(before, after), *gone(before, after), *moved(before, after)])


def missing(before: Parameters, after: Parameters) -> Iterator[str]:
    known = {name: may_lack for name, kind, may_lack in before if kind in NAMED}
    for name, kind, may_lack in after:
        if kind in NAMED and not may_lack and known.get(name, True):
            yield f"{name!r} may not be left out any more" if name in known else f"{name!r} is required"


def gone(before: Parameters, after: Parameters) -> Iterator[str]:
    by_name = {name for name, kind, _ in after if kind in BY_NAME}
    for name, kind, _ in before:
        if (kind in BY_NAME and name not in by_name and not takes(after, ANY_NAME)) or (
            kind in (ANY_NAME, ANY_PLACE) and not takes(after, kind)
        ):
            yield f"{name!r} is gone"


def moved(before: Parameters, after: Parameters) -> Iterator[str]:
    """By position, where it is another one then, or none."""
    places = [name for name, kind, _ in after if kind in BY_PLACE]
    for place, name in enumerate(name for name, kind, _ in before if kind in BY_PLACE):
        is_there = any(name == other for other, _, _ in after)
        if is_there and name not in places[place : place + 1]:
            yield f"{name!r} has another place"
        elif not is_there and takes(after, ANY_NAME) and not takes(after, ANY_PLACE):
            yield f"{name!r} has no place any more"


def takes(parameters: Parameters, kind: str) -> bool:
    return any(found == kind for _, found, _ in parameters)
