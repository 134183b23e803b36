"""Whatever happens while tasks flow, each of them takes effect, and once.

The faults happen one after another, and the ledger is read when the last task had time to come back. What the plain
set-up loses is shown beside it, and fails nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from resources.effects import SECONDS_UNTIL_A_LOST_MESSAGE_IS_BACK, Effects

from .fault import Fault
from .happening import happen, until_no_more, until_worked_off
from .here import HERE
from .outcome import Entry, Load, Outcome, Row, entries, orders
from .plain import Plain

Answer = TypeVar("Answer")
LOAD = Path(__file__).with_name("load.py").read_text()


@dataclass(frozen=True)
class Happened:
    rows: dict[str, Row]
    failures: dict[str, Exception]


@pytest.fixture(scope="session")
def happened(
    request: pytest.FixtureRequest,
    target: Effects,
    plain: Plain | None,
    told: list[Row],
    say: Callable[[str], None],
) -> Happened:
    asked = [item.name for item in request.session.items]
    loads: dict[str, Load] = {}
    plain_loads: dict[str, Load] = {}
    failures: dict[str, Exception] = {}
    for fault in [fault for fault in HERE.faults if any(f"[{fault.name}]" in name for name in asked)]:
        say(f"{datetime.now():%H:%M:%S} {fault.name}")
        try:
            loads[fault.name] = load = happen(target, LOAD, fault.do)
            until_worked_off(target, load)
        except Exception as failure:
            failures[fault.name] = failure
        if plain and fault.plain and (beside := spared(partial(plain.happen, fault.plain), say)):
            plain_loads[fault.name] = beside
    deadline = time.monotonic() + SECONDS_UNTIL_A_LOST_MESSAGE_IS_BACK
    until_no_more(target, list(loads.values()), SECONDS_UNTIL_A_LOST_MESSAGE_IS_BACK)
    stalk = {name: Outcome(load, tasks_of(target, load)) for name, load in loads.items()}
    plain_ones = {
        name: spared(partial(plain.outcome, load, deadline - time.monotonic()), say)
        for name, load in plain_loads.items()
        if plain
    }
    told += [Row(name, outcome, plain_ones.get(name)) for name, outcome in stalk.items()]
    return Happened({row.fault: row for row in told}, failures)


def spared(measure: Callable[[], Answer], say: Callable[[str], None]) -> Answer | None:
    """What goes wrong with the plain set-up fails nothing."""
    try:
        return measure()
    except Exception as failure:
        say(f"the plain set-up: {failure}")
        return None


def tasks_of(target: Effects, load: Load) -> list[Entry]:
    return [*entries(target, load.prefix), *orders(target, load.prefix)]


@pytest.mark.parametrize(
    "fault",
    [pytest.param(fault, id=fault.name, marks=() if fault.short else pytest.mark.long) for fault in HERE.faults],
)
def test_every_task_takes_effect_once(happened: Happened, fault: Fault[Any]) -> None:
    if failure := happened.failures.get(fault.name):
        raise failure
    stalk = happened.rows[fault.name].stalk
    if stalk.load.failure:
        raise stalk.load.failure
    assert (stalk.lost, stalk.extra) == (0, 0)
