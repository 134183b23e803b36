"""Whatever happens while tasks flow, each of them takes effect, and once.

The faults happen one after another, and the ledger is read when the last task had time to come back.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from resources.deployment import Deployment
from resources.effects import SECONDS_UNTIL_A_LOST_MESSAGE_IS_BACK
from resources.waiting import wait_for

from .on_servers import FAULTS, Fault
from .outcome import Entry, Load, Outcome, entries, last_effect, now, outcome

LOAD = Path(__file__).with_name("load.py")
HERTZ = float(os.environ.get("STALK_FAULTS_HERTZ", "10"))
SECONDS_BEFORE, SECONDS_AFTER = 10, 10
# Of the first tasks, and of the host of the data once it is back.
SECONDS_UNTIL_TASKS_FLOW = 120


@contextmanager
def tasks(deployment: Deployment, prefix: str, note: Callable[[Load], None]) -> Iterator[None]:
    """Tasks that are sent all the while."""
    web, end = deployment.first("web"), f"/tmp/{prefix}"
    code = f"{LOAD.read_text()}\nprint(send_until(Path({end!r}), {prefix!r}, {HERTZ}))"
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(deployment.django, code)
        began = now(deployment)
        try:
            began = flows(deployment, prefix, 0)
            yield
        finally:
            ended = now(deployment)
            web.run("touch", end)
            note(Load(prefix, int(sent.result().split()[-1]), began, ended))


def flows(deployment: Deployment, prefix: str, after: float) -> float:
    """Waits for an effect after a moment; returns when it was."""

    def effect() -> float:
        moment = last_effect(deployment, prefix)
        return moment if moment > after else 0

    return wait_for("tasks flow", effect, SECONDS_UNTIL_TASKS_FLOW)


def complete(deployment: Deployment, one: Load) -> list[Entry]:
    """The ledger of a load when all took effect, or had time to."""

    def whole() -> list[Entry] | None:
        found = entries(deployment, one.prefix)
        return found if sum(entry.effects > 0 for entry in found) >= one.count else None

    try:
        return wait_for(f"{one.count} tasks of {one.prefix}", whole, SECONDS_UNTIL_A_LOST_MESSAGE_IS_BACK)
    except AssertionError:
        return entries(deployment, one.prefix)


@dataclass(frozen=True)
class Happened:
    outcomes: dict[str, Outcome]
    failures: dict[str, Exception]


@pytest.fixture(scope="session")
def happened(request: pytest.FixtureRequest, deployment: Deployment, told: list[Outcome]) -> Happened:
    asked = [item.name for item in request.session.items]
    loads: dict[str, Load] = {}
    failures: dict[str, Exception] = {}
    for fault in [fault for fault in FAULTS if any(f"[{fault.name}]" in name for name in asked)]:
        try:
            happen(deployment, fault, loads)
        except Exception as failure:
            failures[fault.name] = failure
    told += [outcome(name, load, complete(deployment, load)) for name, load in loads.items()]
    return Happened({each.fault: each for each in told}, failures)


def happen(deployment: Deployment, fault: Fault, loads: dict[str, Load]) -> None:
    prefix = f"fault-{uuid.uuid4().hex[:8]}"
    with tasks(deployment, prefix, partial(loads.__setitem__, fault.name)):
        flows(deployment, prefix, now(deployment) + SECONDS_BEFORE)
        fault.do(deployment)
        flows(deployment, prefix, now(deployment) + SECONDS_AFTER)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_every_task_takes_effect_once(happened: Happened, fault: Fault) -> None:
    if failure := happened.failures.get(fault.name):
        raise failure
    assert happened.outcomes[fault.name].is_good, happened.outcomes[fault.name]
