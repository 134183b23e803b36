"""What systemd runs, and whether that is what lies on the disk."""

from __future__ import annotations

import fnmatch
import json
import math
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SYSTEM = Path("/etc/systemd/system")
SHOWN = (
    "Id",
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "NeedDaemonReload",
    "NRestarts",
    "Result",
    "ActiveEnterTimestamp",
    "InactiveExitTimestamp",
    "ExecMainStartTimestamp",
    "StateChangeTimestamp",
    "TimeoutStopUSec",
    "InvocationID",
)
RESTARTS_THAT_MEAN_FAILURE = 5
SECONDS_OF_A_FRESH_BEAT = 30
LINES_SHOWN = 15
SPAN = re.compile(r"([\d.]+)(us|ms|s|min|h|d|w|month|y)\b")
SPANS = {"us": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800, "month": 2629800, "y": 31557600}


class ServiceFailed(Exception):
    """A message for the person who deploys."""


@dataclass(frozen=True)
class Service:
    """A unit that runs. It is older than its configuration when a file in `watch` changed after it started.

    What changed in `reload` after it last became active or was reloaded calls for a reload only.
    """

    unit: str
    watch: tuple[Path, ...] = ()
    reload: tuple[Path, ...] = ()
    heartbeat: Path | None = None
    consuming: bool = False
    # Of a node of a cluster: what waits until the others can do without it.
    spare: tuple[str, ...] = ()


@dataclass(frozen=True)
class State:
    unit: str
    loaded: bool
    active: str
    enabled: bool
    stale: bool
    restarts: int
    result: str
    started: float
    settled: float
    stop_seconds: float = 0.0
    sub: str = ""
    # Of this run of the unit: another after each start.
    invocation: str = ""

    @property
    def runs(self) -> bool:
        return self.active in {"active", "activating", "reloading"}

    @property
    def is_up(self) -> bool:
        """Whether it has started, but for what ExecStartPost= may still do."""
        return self.active in {"active", "reloading"} or self.sub == "start-post"


@dataclass
class Work:
    """What has to be done, by unit."""

    start: list[str] = field(default_factory=list)
    restart: list[str] = field(default_factory=list)
    # Nodes that are not up: nothing is asked before they restart, and what they wait for may be each other.
    revive: list[str] = field(default_factory=list)
    refresh: list[str] = field(default_factory=list)
    stop: list[str] = field(default_factory=list)
    enable: list[str] = field(default_factory=list)
    reload: bool = False

    def __bool__(self) -> bool:
        return any(vars(self).values())

    def limited(self, running: Collection[str]) -> Work:
        """Of it what units that are up are to get now, `reload` and `restart`."""
        work = replace(self)
        if "reload" not in running:
            work.refresh = []
        if "restart" not in running:
            # systemd shows that a running unit is stale only until it reads its files again.
            work.restart, work.reload = [], self.reload and bool(self.start or self.revive)
        return work


def parse_show(text: str) -> dict[str, State]:
    """The answer of `systemctl show --timestamp=us+utc` for several units."""
    states = {}
    for block in text.strip().split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if not values.get("Id"):
            continue
        # In ExecStartPre= there is no process yet.
        began = ("ExecMainStartTimestamp", "InactiveExitTimestamp", "ActiveEnterTimestamp")
        moments = (parse_timestamp(values.get(name, "")) for name in began)
        states[values["Id"]] = State(
            unit=values["Id"],
            loaded=values.get("LoadState") == "loaded",
            active=values.get("ActiveState", ""),
            enabled=values.get("UnitFileState") in {"enabled", "static"},
            stale=values.get("NeedDaemonReload") == "yes",
            restarts=int(values.get("NRestarts") or 0),
            result=values.get("Result", ""),
            started=next(filter(None, moments), 0.0),
            settled=parse_timestamp(values.get("StateChangeTimestamp", "")),
            stop_seconds=parse_span(values.get("TimeoutStopUSec", "")),
            sub=values.get("SubState", ""),
            invocation=values.get("InvocationID", ""),
        )
    return states


def parse_timestamp(text: str) -> float:
    """Seconds of `Fri 2026-11-20 08:03:11.123456 UTC`; 0 when it never happened."""
    if text in {"", "n/a"}:
        return 0.0
    day, clock = text.split()[1:3]
    return datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=UTC).timestamp()


def parse_span(text: str) -> float:
    """Seconds of `2h 30min 45s`."""
    if text == "infinity":
        return math.inf
    return sum(float(amount) * SPANS[unit] for amount, unit in SPAN.findall(text))


def plan(
    services: Sequence[Service],
    states: Mapping[str, State],
    configured: Callable[[Service], float],
    departed: Iterable[str],
    *,
    files_change: bool,
) -> Work:
    """Starts what does not run, restarts what is older than its configuration, stops what has departed.

    What may take longest to stop restarts first: a worker with a new, shorter visibility_timeout would deliver a second
    time what an old one still works on.
    """
    work = Work(stop=sorted(departed), reload=files_change or any(state.stale for state in states.values()))
    for service in services:
        state = states.get(service.unit)
        if state is None or not state.runs:
            work.start.append(service.unit)
        elif service.unit.endswith(".target"):
            # A restart of the target would restart every unit that is part of it.
            pass
        elif service.spare and not state.is_up:
            if state.stale or max(configured(service), newest_change(service.reload)) > state.started:
                work.revive.append(service.unit)
        else:
            is_old = state.stale or configured(service) > state.started
            if is_old:
                work.restart.append(service.unit)
            # Every node of a cluster reloads before the first restarts, which is to find the others by a new cookie.
            if (service.spare or not is_old) and newest_change(service.reload) > state.settled:
                work.refresh.append(service.unit)
        if state is None or not state.enabled:
            work.enable.append(service.unit)
    work.restart.sort(key=lambda unit: -states[unit].stop_seconds)
    return work


def newest_change(paths: Iterable[Path]) -> float:
    """When one of the files, or of the files of a folder, was last written, replaced or added."""
    newest = 0.0
    for path in paths:
        try:
            folder = path.is_dir() and not path.is_symlink()
            newest = max([newest, *(entry.lstat().st_ctime for entry in (path.iterdir() if folder else [path]))])
        except FileNotFoundError:
            continue
    return newest


def unit_files(unit: str, system: Path = SYSTEM) -> tuple[Path, ...]:
    """Where the definition of a unit of ours may lie."""
    name, _, ending = unit.rpartition(".")
    template = f"{name.partition('@')[0]}@.{ending}" if "@" in name else unit
    return tuple(system / path for path in dict.fromkeys((unit, template, f"{unit}.d", f"{template}.d")))


def patterns_of_units(patterns: Sequence[str]) -> list[str]:
    """Those without a folder; the others are patterns of files."""
    return [pattern for pattern in patterns if "/" not in pattern]


def departed_units(patterns: Sequence[str], wanted: Iterable[str], known: Iterable[str]) -> list[str]:
    """Units that match a pattern and are not wanted; a template is not a unit that runs."""
    matching = {unit for unit in known for pattern in patterns if fnmatch.fnmatchcase(unit, pattern)}
    return sorted(unit for unit in matching - set(wanted) if not unit.rpartition(".")[0].endswith("@"))


def departed_files(patterns: Sequence[str]) -> tuple[str, ...]:
    """Patterns of the files that define those units, and the patterns of files as they are."""
    units = patterns_of_units(patterns)
    files = [pattern for pattern in patterns if pattern not in units]
    return tuple(path for pattern in units for path in (pattern, f"{pattern}.d/*")) + tuple(files)


def beats(heartbeat: Path, since: float, *, consuming: bool) -> bool:
    """Whether the process that started at `since` has lately written its heartbeat, and consumes if it should."""
    try:
        beat: dict[str, Any] = json.loads(heartbeat.read_text())
        lately = max(since, time.time() - SECONDS_OF_A_FRESH_BEAT)
        return float(beat["time"]) >= lately and (not consuming or bool(beat["consuming"]))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def loaded_units(listed: str) -> dict[str, str]:
    """Unit to its ACTIVE of `systemctl list-units --plain --no-legend`, without those that are only referred to."""
    lines = [line.split() for line in listed.splitlines() if line.strip()]
    return {unit: active for unit, load, active, *_ in lines if load != "not-found"}


class Systemd:
    """systemctl and its kin."""

    def __init__(self, system: Path = SYSTEM) -> None:
        self.system = system

    def call(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(arguments, capture_output=True, text=True, errors="replace", check=False)
        if check and done.returncode:
            raise ServiceFailed(f"{' '.join(arguments)}: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def show(self, units: Sequence[str]) -> dict[str, State]:
        if not units:
            return {}
        return parse_show(
            self.call("systemctl", "show", "--timestamp=us+utc", f"--property={','.join(SHOWN)}", "--", *units)
        )

    def property(self, unit: str, name: str) -> str:
        return self.call("systemctl", "show", f"--property={name}", "--value", "--", unit).strip()

    def known(self, patterns: Sequence[str]) -> list[str]:
        """Units that match: what is not inactive, what is enabled, and what has a file of its own."""
        patterns = patterns_of_units(patterns)
        if not patterns:
            return []
        listed = loaded_units(self.list_units(*patterns))
        loaded = [unit for unit, active in listed.items() if active != "inactive" or self.has_file(unit)]
        enabled = [link.name for pattern in patterns for link in self.system.glob(f"*.wants/{pattern}")]
        return [*loaded, *enabled]

    def active(self, pattern: str) -> list[str]:
        """Units that run."""
        return [unit for unit, active in loaded_units(self.list_units(pattern)).items() if active == "active"]

    def list_units(self, *patterns: str) -> str:
        return self.call("systemctl", "list-units", "--all", "--full", "--plain", "--no-legend", "--", *patterns)

    def has_file(self, unit: str) -> bool:
        """Whether a file or a drop-in of ours defines this unit, and not its template alone."""
        return any((self.system / name).exists() for name in (unit, f"{unit}.d"))

    def verify(self, files: Mapping[str, str]) -> None:
        """Refuses unit files that systemd would not take, before they are installed."""
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content)
            units = {name.partition(".d/")[0] for name in files}
            checked = sorted(unit.replace("@.", "@verified.") for unit in units)
            done = subprocess.run(
                ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *checked],
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SYSTEMD_UNIT_PATH": f"{folder}:"},
                capture_output=True,
                text=True,
                check=False,
            )
            found = [line.replace(f"{folder}/", "") for line in done.stderr.splitlines() if folder in line]
            if done.returncode or found:
                raise ServiceFailed("\n".join(["systemd refuses the units", *(found or [done.stderr.strip()])]))

    def last_lines(self, unit: str) -> str:
        journal = ("journalctl", f"--unit={unit}", f"--lines={LINES_SHOWN}", "--no-pager", "--quiet", "--output=cat")
        return self.call(*journal, check=False).strip()

    def wait_for_beats(self, services: Sequence[Service], seconds: float) -> None:
        """Waits until every service that has a heartbeat shows one of its running process."""
        waiting = [service for service in services if service.heartbeat]
        deadline = time.monotonic() + seconds
        pause = 0.05
        first: dict[str, int] = {}
        while waiting:
            states = self.show([service.unit for service in waiting])
            for service in list(waiting):
                state = states[service.unit]
                first.setdefault(service.unit, state.restarts)
                if service.heartbeat and beats(service.heartbeat, state.started, consuming=service.consuming):
                    waiting.remove(service)
                elif (
                    state.active == "failed"
                    or state.restarts - first[service.unit] >= RESTARTS_THAT_MEAN_FAILURE
                    or time.monotonic() > deadline
                ):
                    raise ServiceFailed(self._why(service, state, seconds))
            time.sleep(pause)
            pause = min(pause * 2, 0.5)

    def _why(self, service: Service, state: State, seconds: float) -> str:
        wanted = "does not consume" if service.consuming else "shows no heartbeat"
        return (
            f"{service.unit} {wanted} ({state.active}, result {state.result}, {state.restarts} restarts; waited up to "
            f"{seconds:.0f} s). Its last lines:\n{self.last_lines(service.unit)}"
        )
