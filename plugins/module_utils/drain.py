"""Workers of a host end what they have in hand, and nobody ends them."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from ansible_collections.stalk.celery.plugins.module_utils.services import Systemd
from ansible_collections.stalk.celery.plugins.module_utils.unit_names import heartbeat_of, worker_unit

RUNTIME = Path("/run/systemd/system")
# Read after pool.conf, whose seconds it replaces: stop-celery and systemd wait as long as it takes, this once.
DROP_IN = "until-tasks-end.conf"
FOLDER = f"{RUNTIME}/%n.d"
PATIENT = f"""\
[Service]
Environment=CELERY_STOP_SECONDS=31536000
TimeoutStopSec=infinity
ExecStopPost=+/bin/sh -c 'rm -f {FOLDER}/{DROP_IN}; rmdir --ignore-fail-on-non-empty {FOLDER}; systemctl daemon-reload'
"""
SIGNAL = re.compile(r"\bCELERY_STOP_SIGNAL=(\w+)")
STOPPED = ("inactive", "failed")
SECONDS_TO_END = 15


class Drain:
    """Of the pools of an app on this host; `pools` are all when it is empty. A run that was interrupted goes on."""

    def __init__(self, systemd: Systemd, app: str, pools: Sequence[str], runtime: Path = RUNTIME) -> None:
        self.systemd = systemd
        self.runtime = runtime
        self.stop_celery = f"/usr/local/lib/{app}/stop-celery"
        self.patterns = [worker_unit(app, pool) for pool in pools or ["*"]]
        self._asked: dict[str, str] = {}

    def running(self) -> list[str]:
        """Units that have not stopped."""
        units = sorted(set(self.systemd.known(self.patterns)))
        return [unit for unit, state in self.systemd.show(units).items() if state.active not in STOPPED]

    def begin(self) -> None:
        units = self.running()
        for unit in units:
            folder = self.runtime / f"{unit}.d"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / DROP_IN).write_text(PATIENT)
        if units:
            self.systemd.call("systemctl", "daemon-reload")
            self.systemd.call("systemctl", "stop", "--no-block", "--", *units)
        self._asked = {unit: state.invocation for unit, state in self.systemd.show(units).items()}

    def busy(self) -> list[str]:
        """Those that were asked and have not stopped; who was started again meanwhile is left alone."""
        states = self.systemd.show(list(self._asked))
        same = {unit: state for unit, state in states.items() if state.invocation == self._asked[unit]}
        return [unit for unit, state in same.items() if state.active not in STOPPED]

    def wait(self, seconds: float) -> list[str]:
        """Those that are busy after so many seconds."""
        deadline = time.monotonic() + seconds
        while (units := self.busy()) and time.monotonic() < deadline:
            time.sleep(0.5)
        return units

    def kill(self, units: Sequence[str]) -> list[str]:
        """As the end of their grace would: the broker delivers again what they had. Those that survive it."""
        with ThreadPoolExecutor(len(units)) as side_by_side:
            list(side_by_side.map(self._kill, units))
        return self.wait(SECONDS_TO_END)

    def _kill(self, unit: str) -> None:
        signal = SIGNAL.search(self.systemd.property(unit, "Environment"))
        process = self.systemd.property(unit, "MainPID")
        if process != "0":
            ends = (self.stop_celery, "0", signal[1] if signal else "KILL", str(SECONDS_TO_END), process)
            self.systemd.call(*ends, check=False)

    def forget(self) -> None:
        """The drop-ins of units that do not stop: who had ended a moment before, or was started again."""
        found = [path for pattern in self.patterns for path in self.runtime.glob(f"{pattern}.d/{DROP_IN}")]
        drop_ins = {path.parent.name.removesuffix(".d"): path for path in found}
        states, busy = self.systemd.show(sorted(drop_ins)), self.busy()
        over = [unit for unit, state in states.items() if unit not in busy and state.active != "deactivating"]
        for unit in over:
            drop_ins[unit].unlink(missing_ok=True)
            # It is somebody else's where it has more.
            with suppress(OSError):
                drop_ins[unit].parent.rmdir()
        if over:
            self.systemd.call("systemctl", "daemon-reload")

    def told(self, unit: str) -> str:
        """That it runs, and how many tasks as far as it tells."""
        try:
            beat = json.loads(heartbeat_of(unit).read_text())
            count = int(beat["active"])
        except (OSError, ValueError, KeyError, TypeError):
            return f"{unit} still runs"
        return f"{unit} still runs {count} task{'' if count == 1 else 's'}"
