"""The release before on a host: its code, environment and units, until the processes of the next one have come up.

Secrets are not gone back from: broker and database may know the new ones alone.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.stalk.celery.plugins.module_utils.managed_files import Folder, converge
from ansible_collections.stalk.celery.plugins.module_utils.releases import ReleaseFailed, Releases
from ansible_collections.stalk.celery.plugins.module_utils.services import Service, State, Systemd
from ansible_collections.stalk.celery.plugins.module_utils.unit_names import RUN, heartbeat_of

COMPONENTS = ("web", "worker", "beat", "flower")
FOLDER, RELEASE = "before", "release"
SECONDS_TO_COME_UP = 120


def leads_back_to(settings: Path) -> str | None:
    """The release before of a host with these settings, where there is one to go back to."""
    try:
        return (settings / FOLDER / RELEASE).read_text()
    except OSError:
        return None


@dataclass(frozen=True)
class Processes:
    """Files and services of some components of an app on a host."""

    app: str
    components: Collection[str]
    run: Path = RUN

    @property
    def patterns(self) -> tuple[str, ...]:
        """Of files below a folder of units."""
        names = {
            "web": ("web.service", "web.socket"),
            "worker": ("worker@.service", "worker@*.service.d/*"),
            "beat": ("beat.service",),
            "flower": ("flower.service",),
        }
        patterns = [f"{self.app}-{name}" for component in self.components for name in names[component]]
        # How long the host's end waits for the pool that may take longest.
        last_targets = [f"*.target.d/{self.app}.conf"] if "worker" in self.components else []
        return (*patterns, *last_targets)

    def units(self, folder: Path) -> dict[str, str]:
        found = [path for pattern in self.patterns for path in folder.glob(pattern)]
        return {str(path.relative_to(folder)): path.read_text() for path in found}

    def environment(self, folder: Path) -> dict[str, str]:
        found = [folder / f"{component}.env" for component in self.components]
        return {path.name: path.read_text() for path in found if path.exists()}

    def services(self, units: Collection[str]) -> dict[str, Service]:
        """The services that these units define, by name."""
        pools = {Path(name).parent.name.removesuffix(".d") for name in units if "@" in name and "/" in name}
        names = [*sorted(pools), *sorted(name for name in units if name.endswith(".service") and "@" not in name)]
        beats = {unit: heartbeat_of(unit, self.run) for unit in (*pools, f"{self.app}-beat.service")}
        return {name: Service(name, heartbeat=beats.get(name), consuming=name in pools) for name in names}


@dataclass(frozen=True)
class WayBack:
    """`components` are those of this host."""

    app: str
    components: Collection[str]
    settings: Path
    releases: Releases
    systemd: Systemd

    @property
    def _folder(self) -> Path:
        return self.settings / FOLDER

    @property
    def _release(self) -> Path:
        return self._folder / RELEASE

    def version(self) -> str | None:
        return leads_back_to(self.settings)

    def keep(self, version: str) -> None:
        """Notes what is in use with this release."""
        self.forget()
        everything = Processes(self.app, COMPONENTS)
        for name, files in (
            ("environment", everything.environment(self.settings)),
            ("units", everything.units(self.systemd.system)),
        ):
            converge(Folder(self._folder / name, files), dry=False)
        # Last, as it says that all is there.
        self._release.write_text(version)

    def forget(self) -> None:
        if self._folder.exists():
            self._release.unlink(missing_ok=True)
            shutil.rmtree(self._folder)

    def all_run(self, version: str) -> bool:
        """Whether every process of the app on this host runs this release."""
        processes = Processes(self.app, self.components)
        services = processes.services(processes.units(self.systemd.system))
        states = self.systemd.show(list(services))
        return all(states[unit].active == "active" and self._runs(unit) == version for unit in services)

    def go(self, components: Collection[str]) -> None:
        """Has the processes of these components run what they ran before; those that still do are left alone.

        Others go on, and are what they were before as soon as they start again.
        """
        version = self.version()
        if version is None or not self.releases.is_complete(version):
            raise ReleaseFailed(f"{self.releases.path(version or '')}: the release before is not there any more")
        everything, going = Processes(self.app, COMPONENTS), Processes(self.app, components)
        kept = self._folder / "units"
        services = going.services(going.units(kept))
        self._stop([unit for unit in going.services(going.units(self.systemd.system)) if unit not in services])
        converge(Folder(self.settings, everything.environment(self._folder / "environment")), dry=False)
        converge(Folder(self.systemd.system, everything.units(kept), exactly=going.patterns), dry=False)
        self.systemd.call("systemctl", "daemon-reload")
        self.releases.switch(version)
        self._bring_up(services, version)
        if self.all_run(version):
            self.forget()

    def _stop(self, units: list[str]) -> None:
        if units:
            self.systemd.call("systemctl", "stop", "--", *units)
            self.systemd.call("systemctl", "disable", "--quiet", "--", *units)

    def _bring_up(self, services: dict[str, Service], version: str) -> None:
        if not services:
            return
        self.systemd.call("systemctl", "enable", "--quiet", "--", *services)
        states, kept = self.systemd.show(list(services)), self._release.stat().st_mtime
        others = [unit for unit in services if self._is_other(states[unit], kept, version)]
        if others:
            self.systemd.call("systemctl", "reset-failed", "--", *others, check=False)
            self.systemd.call("systemctl", "restart", "--", *others)
        self.systemd.wait_for_beats(list(services.values()), SECONDS_TO_COME_UP)

    def _is_other(self, state: State, kept: float, version: str) -> bool:
        """Whether it runs another release, or this one with what came after."""
        return state.active != "active" or state.started > kept or self._runs(state.unit) != version

    def _runs(self, unit: str) -> str | None:
        """The release that a unit's process was started from."""
        return self.releases.of_process(self.systemd.property(unit, "MainPID"))
