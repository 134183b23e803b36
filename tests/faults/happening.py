"""A fault that happens while tasks flow."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from resources.effects import Effects
from resources.waiting import wait_for

from .outcome import Load, done, last_effect, now

Target = TypeVar("Target", bound=Effects)
MIX = Path(__file__).with_name("mix.py").read_text()
HERTZ = float(os.environ.get("STALK_FAULTS_HERTZ", "10"))
SECONDS_BEFORE, SECONDS_AFTER = 10, 10
# Of the first tasks, and of the host of the data once it is back.
SECONDS_UNTIL_TASKS_FLOW = 120
SHARE_WORKED_OFF, SECONDS_UNTIL_WORKED_OFF = 0.9, 300


def happen(target: Target, sending: str, do: Callable[[Target], object]) -> Load:
    """Tasks are sent all the while, by code that has `send_until`."""
    prefix = f"fault-{uuid.uuid4().hex[:8]}"
    end = f"/tmp/{prefix}"
    failure = None
    with ThreadPoolExecutor(1) as pool:
        code = f"{MIX}\n{sending}\nprint(send_until(Path({end!r}), {prefix!r}, {HERTZ}, work_of))"
        sent = pool.submit(target.django, code)
        began = broke = mended = now(target)
        try:
            began = flows(target, prefix, 0)
            broke = flows(target, prefix, now(target) + SECONDS_BEFORE)
            do(target)
            mended = now(target)
            flows(target, prefix, mended + SECONDS_AFTER)
        except Exception as caught:
            failure = caught
        finally:
            wait_for("the sender is told", lambda: is_told(target, end), SECONDS_UNTIL_TASKS_FLOW)
            ended = now(target)
        count = int(sent.result().split()[-1])
    return Load(prefix, count, began, broke, max(broke, mended), ended, failure)


def is_told(target: Effects, end: str) -> bool:
    try:
        target.touch(end)
    except Exception:
        # A pod that starts anew takes no command for a moment.
        return False
    return True


def flows(target: Effects, prefix: str, after: float) -> float:
    """Waits for an effect after a moment; returns when it was."""

    def effect() -> float:
        moment = last_effect(target, prefix)
        return moment if moment > after else 0

    return wait_for("tasks flow", effect, SECONDS_UNTIL_TASKS_FLOW)


def until_worked_off(target: Effects, load: Load) -> None:
    """A machine that is slow would carry what is left into the next fault, and in the end take no more than is sent."""
    most = load.count * SHARE_WORKED_OFF

    def is_worked_off() -> bool:
        return done(target, [load.prefix]) >= most

    with suppress(AssertionError):
        wait_for("most tasks took effect", is_worked_off, SECONDS_UNTIL_WORKED_OFF)


def until_no_more(target: Effects, loads: Sequence[Load], seconds: float) -> None:
    """All tasks took effect, or none has for so long."""
    prefixes, wanted, count = [load.prefix for load in loads], sum(load.count for load in loads), 0

    def more() -> int | None:
        found = done(target, prefixes)
        return found if found > count else None

    with suppress(AssertionError):
        while count < wanted:
            count = wait_for("a further task takes effect", more, seconds)
