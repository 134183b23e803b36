"""Which units of the app a stop ends, and which a start begins."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.processes import Processes
from ansible_collections.stalk.celery.plugins.module_utils.services import Service, State, Systemd

WEB, SOCKET = "shop-web.service", "shop-web.socket"
DEFAULT, OLD, BEAT = "shop-worker@default.service", "shop-worker@old.service", "shop-beat.service"


class Units(Systemd):
    """Those of a host, whose commands are noted."""

    def __init__(self, **active: str) -> None:
        self.commands: list[tuple[str, ...]] = []
        self.waited: list[Service] = []
        self.active_states = dict.fromkeys([WEB, SOCKET, DEFAULT, OLD, BEAT], "active") | active

    def known(self, patterns: Sequence[str]) -> list[str]:
        return [unit for unit in self.active_states for pattern in patterns if fnmatch.fnmatch(unit, pattern)]

    def show(self, units: Iterable[str]) -> dict[str, State]:
        return {
            unit: State(unit, True, self.active_states[unit], unit != OLD, False, 0, "success", 0.0, 0.0)
            for unit in units
        }

    def call(self, *arguments: str, check: bool = True) -> str:
        self.commands.append(arguments)
        return ""

    def wait_for_beats(self, services: Sequence[Service], seconds: float) -> None:
        self.waited = list(services)


@pytest.mark.parametrize(
    ("components", "units"), [(["web"], [SOCKET, WEB]), (["beat", "worker"], [BEAT, DEFAULT, OLD])]
)
def test_a_stop_ends_what_runs_of_its_components(components: list[str], units: list[str]) -> None:
    systemd = Units()
    Processes(systemd, "shop", components).stop()
    assert systemd.commands == [("systemctl", "stop", "--", *units)]


def test_what_has_stopped_is_not_stopped_again() -> None:
    systemd = Units(**{BEAT: "failed"})
    Processes(systemd, "shop", ["beat"]).stop()
    assert systemd.commands == []


def test_a_start_begins_what_starts_with_the_host_and_waits_for_its_heartbeat() -> None:
    systemd = Units(**{DEFAULT: "inactive", OLD: "inactive", BEAT: "active"})
    processes = Processes(systemd, "shop", ["worker", "beat"])
    assert processes.resting() == [DEFAULT]
    processes.start(9)
    assert ("systemctl", "start", "--", DEFAULT) in systemd.commands
    (beat,) = systemd.waited
    assert (beat.unit, beat.heartbeat, beat.consuming) == (BEAT, Path("/run/shop-beat/heartbeat"), False)


def test_a_worker_that_ends_its_tasks_is_not_waited_for() -> None:
    systemd = Units(**{DEFAULT: "deactivating", BEAT: "inactive"})
    Processes(systemd, "shop", ["worker", "beat"]).start(9)
    starts = [command for command in systemd.commands if command[1] == "start"]
    assert starts == [("systemctl", "start", "--no-block", "--", DEFAULT), ("systemctl", "start", "--", BEAT)]
    assert [service.unit for service in systemd.waited] == [OLD]


def test_a_worker_has_to_consume() -> None:
    service = Processes(Units(), "shop", ["worker"]).service(DEFAULT)
    assert (service.heartbeat, service.consuming) == (Path("/run/shop-worker-default/heartbeat"), True)
