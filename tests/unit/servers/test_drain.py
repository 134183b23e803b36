"""Which units a drain waits for, ends and forgets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.drain import DROP_IN, Drain
from ansible_collections.stalk.celery.plugins.module_utils.services import State, Systemd

BUSY, IDLE = "shop-worker@busy.service", "shop-worker@idle.service"


class Units(Systemd):
    """Those of a host, whose commands are noted."""

    def __init__(self, *units: str) -> None:
        self.commands: list[tuple[str, ...]] = []
        self.states = {unit: self.state(unit, "active", "first") for unit in units}

    def state(self, unit: str, active: str, invocation: str) -> State:
        return State(unit, True, active, True, False, 0, "success", 0.0, 0.0, invocation=invocation)

    def become(self, unit: str, active: str, invocation: str = "first") -> None:
        self.states[unit] = replace(self.states[unit], active=active, invocation=invocation)

    def known(self, patterns: Sequence[str]) -> list[str]:
        return list(self.states)

    def show(self, units: Iterable[str]) -> dict[str, State]:
        return {unit: self.states[unit] for unit in units}

    def call(self, *arguments: str, check: bool = True) -> str:
        self.commands.append(arguments)
        if "--property=MainPID" in arguments:
            return "42\n"
        return "CELERY_STOP_SECONDS=9 CELERY_STOP_SIGNAL=QUIT\n" if "--property=Environment" in arguments else ""


@pytest.fixture
def units() -> Units:
    return Units(BUSY, IDLE)


@pytest.fixture
def drain(units: Units, tmp_path: Path) -> Drain:
    drain = Drain(units, "shop", [], runtime=tmp_path)
    drain.begin()
    units.become(BUSY, "deactivating")
    units.become(IDLE, "inactive")
    return drain


def drop_ins(folder: Path) -> set[str]:
    return {path.parent.name.removesuffix(".d") for path in folder.glob(f"*/{DROP_IN}")}


def test_it_waits_for_those_that_still_end_their_tasks(drain: Drain, units: Units) -> None:
    assert drain.wait(0) == [BUSY]
    units.become(BUSY, "inactive")
    assert drain.wait(60) == []


def test_one_that_was_started_again_meanwhile_is_neither_waited_for_nor_patient(
    drain: Drain, units: Units, tmp_path: Path
) -> None:
    units.become(BUSY, "active", "second")
    assert drain.wait(60) == []
    drain.forget()
    assert list(tmp_path.iterdir()) == []


def test_one_that_still_stops_keeps_its_patience_when_a_run_ends(drain: Drain, tmp_path: Path) -> None:
    drain.forget()
    assert drop_ins(tmp_path) == {BUSY}


def test_so_does_one_that_an_earlier_run_asked(drain: Drain, units: Units, tmp_path: Path) -> None:
    Drain(units, "shop", [], runtime=tmp_path).forget()
    assert drop_ins(tmp_path) == {BUSY}


def test_it_ends_one_as_the_end_of_its_grace_would(drain: Drain, units: Units, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "wait", lambda _: [])
    assert drain.kill([BUSY]) == []
    assert ("/usr/local/lib/shop/stop-celery", "0", "QUIT", "15", "42") in units.commands


def test_a_host_without_workers_is_drained(tmp_path: Path) -> None:
    units = Units()
    drain = Drain(units, "shop", [], runtime=tmp_path)
    drain.begin()
    assert drain.wait(60) == []
    assert units.commands == []
