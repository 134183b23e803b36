"""The processes of the app on a host, as its units are: which there are, their end and their start."""

from __future__ import annotations

from collections.abc import Collection

from ansible_collections.stalk.celery.plugins.module_utils.services import Service, Systemd
from ansible_collections.stalk.celery.plugins.module_utils.unit_names import heartbeat_of, worker_unit


def patterns(app: str, components: Collection[str]) -> list[str]:
    """The socket first, which would start its service again."""
    units = {
        "web": [f"{app}-web.socket", f"{app}-web.service"],
        "worker": [worker_unit(app, "*")],
        "beat": [f"{app}-beat.service"],
        "flower": [f"{app}-flower.service"],
    }
    return [pattern for component in components for pattern in units[component]]


class Processes:
    def __init__(self, systemd: Systemd, app: str, components: Collection[str]) -> None:
        self.systemd = systemd
        self.app = app
        self.patterns = patterns(app, components)

    def known(self) -> list[str]:
        """In the order of the patterns."""
        return list(dict.fromkeys(unit for pattern in self.patterns for unit in self.systemd.known([pattern])))

    def running(self) -> list[str]:
        units = self.known()
        return [unit for unit, state in self.systemd.show(units).items() if state.active not in ("inactive", "failed")]

    def resting(self) -> list[str]:
        """Those that start with the host and do not run."""
        units = self.known()
        return [unit for unit, state in self.systemd.show(units).items() if state.enabled and not state.runs]

    def stop(self) -> None:
        if units := self.running():
            self.systemd.call("systemctl", "stop", "--", *units)

    def start(self, seconds: float) -> None:
        """Waits until workers consume, and beat tells that it lives; not for one that has yet to end its tasks."""
        states = self.systemd.show(self.resting())
        ending = [unit for unit, state in states.items() if state.active == "deactivating"]
        if ending:
            self.systemd.call("systemctl", "start", "--no-block", "--", *ending)
        if stopped := [unit for unit in states if unit not in ending]:
            self.systemd.call("systemctl", "reset-failed", "--", *stopped, check=False)
            self.systemd.call("systemctl", "start", "--", *stopped)
        begun = [unit for unit in self.running() if unit not in ending]
        self.systemd.wait_for_beats([self.service(unit) for unit in begun], seconds)

    def service(self, unit: str) -> Service:
        works, beats = unit.startswith(f"{self.app}-worker@"), unit == f"{self.app}-beat.service"
        return Service(unit, heartbeat=heartbeat_of(unit) if works or beats else None, consuming=works)
