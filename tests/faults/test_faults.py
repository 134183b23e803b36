"""Whatever happens while tasks flow, each of them takes effect, and once.

The faults happen one after another, and the ledger is read when the last task had time to come back.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from resources.deployment import Deployment
from resources.effects import SECONDS_UNTIL_A_LOST_MESSAGE_IS_BACK
from resources.waiting import wait_for

from .on_servers import FAULTS, Fault
from .outcome import Entry, Load, Outcome, entries, now, outcome

LOAD = Path(__file__).with_name("load.py")
HERTZ = float(os.environ.get("STALK_FAULTS_HERTZ", "10"))
SECONDS_BEFORE, SECONDS_AFTER = 10, 10
# Of the first tasks, and of the host of the data once it is back.
SECONDS_UNTIL_TASKS_FLOW = 120


@contextmanager
def tasks(deployment: Deployment, prefix: str, loads: list[Load]) -> Iterator[None]:
    """Tasks that are sent all the while."""
    web, end = deployment.first("web"), f"/tmp/{prefix}"
    code = f"{LOAD.read_text()}\nprint(send_until(Path({end!r}), {prefix!r}, {HERTZ}))"
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(deployment.django, code)
        try:
            began = flows(deployment, prefix, 0)
            yield
            ended = now(deployment)
        finally:
            web.run("touch", end)
        loads.append(Load(prefix, int(sent.result().split()[-1]), began, ended))


def flows(deployment: Deployment, prefix: str, after: float) -> float:
    """Waits for an effect after a moment; returns when it was."""

    def effect() -> float:
        return max((entry.at for entry in entries(deployment, prefix) if entry.at > after), default=0)

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


@pytest.fixture(scope="session")
def outcomes(request: pytest.FixtureRequest, deployment: Deployment, told: list[Outcome]) -> dict[str, Outcome]:
    asked = [item.name for item in request.session.items]
    loads = {
        fault.name: happen(deployment, fault) for fault in FAULTS if any(f"[{fault.name}]" in name for name in asked)
    }
    told += [outcome(name, one, complete(deployment, one)) for name, one in loads.items()]
    return {each.fault: each for each in told}


def happen(deployment: Deployment, fault: Fault) -> Load:
    loads: list[Load] = []
    prefix = f"fault-{uuid.uuid4().hex[:8]}"
    with tasks(deployment, prefix, loads):
        flows(deployment, prefix, now(deployment) + SECONDS_BEFORE)
        fault.do(deployment)
        flows(deployment, prefix, now(deployment) + SECONDS_AFTER)
    return loads[0]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_every_task_takes_effect_once(outcomes: dict[str, Outcome], fault: Fault) -> None:
    assert outcomes[fault.name].is_good, outcomes[fault.name]
