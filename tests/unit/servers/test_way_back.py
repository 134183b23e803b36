"""A host goes back to the release before, with its environment and units."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.releases import COMPLETE, ReleaseFailed, Releases
from ansible_collections.stalk.celery.plugins.module_utils.services import Service, State, Systemd
from ansible_collections.stalk.celery.plugins.module_utils.way_back import WayBack

KEPT = {
    "etc/web.env": "of v1",
    "etc/worker.env": "of v1",
    "system/shop-web.service": "of v1",
    "system/shop-worker@.service": "of v1",
    "etc/beat.env": "of v1",
    "system/shop-beat.service": "of v1",
    "system/shop-worker@default.service.d/pool.conf": "of v1",
    "system/reboot.target.d/shop.conf": "of v1",
}
NEW = {
    "system/shop-worker@new.service.d/pool.conf": "of v2",
    "system/shop-flower.service": "of v2",
}
OTHERS = {"etc/redis.env": "of v2", "etc/credentials/web/KEY": "of v2", "system/shop-redis.service": "of v2"}


class RecordedSystemd(Systemd):
    """No process; `pids` are those of units, and `started` is when."""

    def __init__(self, system: Path) -> None:
        super().__init__(system)
        self.pids: dict[str, int] = {}
        self.started = 0.0
        self.calls: list[tuple[str, ...]] = []
        self.waited_for: list[Service] = []

    def call(self, *arguments: str, check: bool = True) -> str:
        if "--property=MainPID" in arguments:
            return str(self.pids.get(arguments[-1], 0))
        self.calls.append(arguments)
        return ""

    def show(self, units: Sequence[str]) -> dict[str, State]:
        return {unit: self._state(unit) for unit in units}

    def _state(self, unit: str) -> State:
        active = "active" if unit in self.pids else "failed"
        return State(unit, True, active, True, False, 0, "", self.started, 0.0)

    def wait_for_beats(self, services: Sequence[Service], seconds: float) -> None:
        self.waited_for += services


def fill(folder: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


def found(folder: Path) -> dict[str, str]:
    paths = [path for top in ("etc", "system") for path in (folder / top).rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_text() for path in paths}


@pytest.fixture
def way_back(tmp_path: Path) -> WayBack:
    """From v2, with its files, to v1."""
    releases = Releases(tmp_path / "srv")
    for version in ("v1", "v2"):
        fill(releases.path(version), {COMPLETE: "", "app/manage.py": ""})
    way_back = WayBack(
        "shop", ["web", "worker", "beat", "flower"], tmp_path / "etc", releases, RecordedSystemd(tmp_path / "system")
    )
    fill(tmp_path, KEPT)
    way_back.keep("v1")
    fill(tmp_path, dict.fromkeys(KEPT, "of v2") | NEW | OTHERS)
    releases.switch("v2")
    return way_back


@pytest.fixture
def running(way_back: WayBack) -> Iterator[Callable[..., RecordedSystemd]]:
    """Starts what runs from the release of its unit."""
    processes = []

    def run(**units: str) -> RecordedSystemd:
        assert isinstance(way_back.systemd, RecordedSystemd)
        for unit, version in units.items():
            folder = way_back.releases.path(version) / "app"
            process = subprocess.Popen([sys.executable, "-c", "input()"], cwd=folder, stdin=subprocess.PIPE)
            processes.append(process)
            way_back.systemd.pids[f"shop-{unit.replace('_', '@')}.service"] = process.pid
        return way_back.systemd

    yield run
    for process in processes:
        process.communicate(b"\n")


def restarts(*units: str) -> list[tuple[str, ...]]:
    return [("systemctl", "reset-failed", "--", *units), ("systemctl", "restart", "--", *units)]


def test_files_and_processes_are_those_of_the_release_before(
    way_back: WayBack, running: Callable[..., RecordedSystemd], tmp_path: Path
) -> None:
    systemd = running(web="v1", worker_default="v2", beat="v2")
    way_back.go(["web", "worker", "beat", "flower"])
    assert way_back.releases.current() == "v1"
    assert found(tmp_path) == KEPT | OTHERS | before(tmp_path)
    new, default = "shop-worker@new.service", "shop-worker@default.service"
    services = (default, "shop-beat.service", "shop-web.service")
    assert systemd.calls == [
        ("systemctl", "stop", "--", new, "shop-flower.service"),
        ("systemctl", "disable", "--quiet", "--", new, "shop-flower.service"),
        ("systemctl", "daemon-reload"),
        ("systemctl", "enable", "--quiet", "--", *services),
        *restarts(default, "shop-beat.service"),
    ]
    assert [service.unit for service in systemd.waited_for] == list(services)
    assert systemd.waited_for[0] == Service(
        default, heartbeat=Path("/run/shop-worker-default/heartbeat"), consuming=True
    )


def test_components_that_came_up_stay(
    way_back: WayBack, running: Callable[..., RecordedSystemd], tmp_path: Path
) -> None:
    """And what they were before is what they start with, should they have to."""
    systemd = running(web="v1", worker_default="v2", worker_new="v2", beat="v2")
    way_back.go(["beat"])
    assert systemd.calls[-2:] == restarts("shop-beat.service")
    assert not [call for call in systemd.calls if "stop" in call]
    assert found(tmp_path) == KEPT | NEW | OTHERS | before(tmp_path)
    # The pool is not back.
    assert way_back.version() == "v1"


def test_what_started_with_another_environment_starts_again(
    way_back: WayBack, running: Callable[..., RecordedSystemd], tmp_path: Path
) -> None:
    """The release is the same."""
    systemd = running(web="v1", worker_default="v1", beat="v1")
    systemd.started = time.time() + 60
    way_back.go(["worker"])
    assert systemd.calls[-2:] == restarts("shop-worker@default.service")


def test_a_host_runs_a_release_when_every_process_does(
    way_back: WayBack, running: Callable[..., RecordedSystemd], tmp_path: Path
) -> None:
    running(web="v2", worker_default="v2", beat="v2", worker_new="v2")
    assert not way_back.all_run("v2")
    running(flower="v1")
    assert not way_back.all_run("v2")
    running(flower="v2")
    assert way_back.all_run("v2")


def test_what_is_of_no_component_of_the_host_is_not_asked(
    way_back: WayBack, running: Callable[..., RecordedSystemd], tmp_path: Path
) -> None:
    """Flower's process is left until `site` ends it."""
    running(web="v2", worker_default="v2", beat="v2", worker_new="v2", flower="v1")
    assert replace(way_back, components=["web", "worker", "beat"]).all_run("v2")


def before(folder: Path) -> dict[str, str]:
    return {name: content for name, content in found(folder).items() if name.startswith("etc/before/")}


def test_a_way_is_kept_without_a_secret(way_back: WayBack, tmp_path: Path) -> None:
    kept = [path.name for path in (tmp_path / "etc/before").rglob("*") if path.is_file()]
    units = ["shop-beat.service", "shop-web.service", "shop-worker@.service", "pool.conf", "shop.conf"]
    assert set(kept) == {"release", "beat.env", "web.env", "worker.env", *units}


def test_a_release_that_is_gone_is_nothing_to_go_back_to(way_back: WayBack, tmp_path: Path) -> None:
    before = found(tmp_path)
    way_back.releases.prune(["v1"])
    with pytest.raises(ReleaseFailed, match="the release before is not there any more"):
        way_back.go(["worker"])
    assert (way_back.releases.current(), found(tmp_path)) == ("v2", before)


def test_there_is_one_way_and_it_may_be_forgotten(way_back: WayBack) -> None:
    way_back.keep("v2")
    assert way_back.version() == "v2"
    way_back.forget()
    way_back.forget()
    assert way_back.version() is None
