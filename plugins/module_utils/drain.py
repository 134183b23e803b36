"""Workers of a host end what they have in hand, and nobody ends them."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.stalk.celery.plugins.module_utils.services import Systemd

RUNTIME = Path("/run/systemd/system")
RUN = Path("/run")
# Read after pool.conf, whose seconds it replaces: stop-celery and systemd wait as long as it takes, this once.
DROP_IN = "until-tasks-end.conf"
PATIENT = f"""\
[Service]
Environment=CELERY_STOP_SECONDS=31536000
TimeoutStopSec=infinity
ExecStopPost=+/bin/sh -c 'rm -f {RUNTIME}/%n.d/{DROP_IN} && systemctl daemon-reload'
"""
SIGNAL = re.compile(r"\bCELERY_STOP_SIGNAL=(\w+)")
STOPPED = ("inactive", "failed")


class Drain:
    """Of the pools of an app on this host; `pools` are all when it is empty. A run that was interrupted goes on."""

    def __init__(self, systemd: Systemd, app: str, pools: Sequence[str]) -> None:
        self.systemd = systemd
        self.app = app
        self.patterns = [f"{app}-worker@{pool}.service" for pool in pools or ["*"]]

    def busy(self) -> list[str]:
        """Units that have not stopped."""
        units = sorted(set(self.systemd.known(self.patterns)))
        return [unit for unit, state in self.systemd.show(units).items() if state.active not in STOPPED]

    def begin(self) -> None:
        units = self.busy()
        for unit in units:
            folder = RUNTIME / f"{unit}.d"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / DROP_IN).write_text(PATIENT)
        if units:
            self.systemd.call("systemctl", "daemon-reload")
            self.systemd.call("systemctl", "stop", "--no-block", "--", *units)

    def wait(self, seconds: float) -> list[str]:
        """Those that are busy after so many seconds."""
        deadline = time.monotonic() + seconds
        while (units := self.busy()) and time.monotonic() < deadline:
            time.sleep(0.5)
        return units

    def kill(self, units: Sequence[str]) -> None:
        """As the end of their grace would: the broker delivers again what they had."""
        for unit in units:
            environment = self.systemd.call("systemctl", "show", "--property=Environment", "--value", "--", unit)
            signal = SIGNAL.search(environment)
            self._signal(unit, signal[1] if signal else "KILL")

    def end(self, units: Sequence[str], seconds: float) -> None:
        """Those that do not follow that signal."""
        for unit in units:
            self._signal(unit, "KILL")
        self.wait(seconds)

    def _signal(self, unit: str, signal: str) -> None:
        self.systemd.call("systemctl", "kill", "--kill-whom=main", f"--signal=SIG{signal}", "--", unit, check=False)

    def forget(self) -> None:
        """The drop-ins of units that had ended a moment before they got them."""
        drop_ins = [path for pattern in self.patterns for path in RUNTIME.glob(f"{pattern}.d/{DROP_IN}")]
        busy = self.busy()
        if ended := [path for path in drop_ins if path.parent.name.removesuffix(".d") not in busy]:
            for path in ended:
                path.unlink(missing_ok=True)
            self.systemd.call("systemctl", "daemon-reload")

    def told(self, unit: str) -> str:
        """That it runs, and how many tasks as far as it tells."""
        pool = unit.removeprefix(f"{self.app}-worker@").removesuffix(".service")
        try:
            beat = json.loads((RUN / f"{self.app}-worker-{pool}" / "heartbeat").read_text())
            count = int(beat["active"])
        except (OSError, ValueError, KeyError, TypeError):
            return f"{unit} still runs"
        return f"{unit} still runs {count} task{'' if count == 1 else 's'}"
