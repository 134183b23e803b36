"""Makes exactly these units run, with the configuration that lies on the disk."""

from __future__ import annotations

DOCUMENTATION = r"""
module: units
short_description: Make systemd units be defined and run as described
description:
  - Writes unit files and drop-ins, enables and starts units, restarts those that are older than their
    configuration, one after another, and waits until their heartbeat tells that they work.
  - A unit is older than its configuration when one of its unit files, or of the paths in I(watch), changed
    after its process started. So a play that was interrupted half-way is made good by the next one, and a
    second run does nothing.
  - Units that match I(exactly) and are not in I(services) are stopped, in the time that their own definition
    gives them, before they are disabled and their files removed.
options:
  files:
    description: Path below /etc/systemd/system to content.
    type: dict
    default: {}
  services:
    description: Units that run, by name.
    type: dict
    default: {}
    suboptions:
      watch:
        description: Files, links and folders whose change calls for a restart.
        type: list
        elements: path
      reload:
        description: Files whose change calls for a reload only.
        type: list
        elements: path
      heartbeat:
        description: File that the service writes while it works.
        type: path
      consuming:
        description: Whether the heartbeat must also say that the service consumes.
        type: bool
      spare:
        description: Of a node of a cluster, the command that waits until the others can do without it, and fails when
          that takes too long. Nothing restarts then. Of one that is not up nobody asks that, and its start waits for
          nothing, as nodes wait for each other.
        type: list
        elements: str
  exactly:
    description:
      - Patterns of units that run only when they are in I(services). One with a C(/) is a pattern of files below
        /etc/systemd/system that are there only when they are in I(files).
    type: list
    elements: str
    default: []
  at_once:
    description: Whether units restart all at once, instead of one after another.
    type: bool
    default: false
  running:
    description: What changed units that are up get; the rest is left to a later call, once all nodes of a cluster are
      that far.
    type: list
    elements: str
    choices: [reload, restart]
    default: [reload, restart]
  timeout:
    description: Seconds to wait for a heartbeat.
    type: int
    default: 120
author: [Stalk developers]
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
"""

EXAMPLES = r"""
- name: Pools
  stalk.celery.units:
    files: {"shop-worker@.service": "{{ lookup('ansible.builtin.template', 'worker.service.j2') }}"}
    services:
      shop-worker@default.service:
        watch: [/etc/shop/worker.env, /srv/shop/current]
        heartbeat: /run/shop-worker-default/heartbeat
        consuming: true
    exactly: ["shop-worker@*.service"]
"""

RETURN = r"""
started: {description: Units that were started., type: list, returned: always}
restarted: {description: Units that were restarted., type: list, returned: always}
reloaded: {description: Units that were reloaded., type: list, returned: always}
stopped: {description: Units that were stopped and disabled., type: list, returned: always}
files: {description: Unit files that were written or removed., type: list, returned: always}
"""

import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stalk.celery.plugins.module_utils.managed_files import Changes, Folder, converge
from ansible_collections.stalk.celery.plugins.module_utils.services import (
    SYSTEM,
    Service,
    ServiceFailed,
    Systemd,
    Work,
    departed_files,
    departed_units,
    newest_change,
    plan,
    unit_files,
)

CHANGES = ("reload", "restart")
ARGUMENTS: dict[str, dict[str, Any]] = {
    "files": {"type": "dict", "default": {}},
    "services": {"type": "dict", "default": {}},
    "exactly": {"type": "list", "elements": "str", "default": []},
    "at_once": {"type": "bool", "default": False},
    "running": {"type": "list", "elements": "str", "choices": list(CHANGES), "default": list(CHANGES)},
    "timeout": {"type": "int", "default": 120},
}


def service(unit: str, wanted: dict[str, Any] | None) -> Service:
    wanted = wanted or {}
    heartbeat = wanted.get("heartbeat")
    return Service(
        unit,
        tuple(Path(path) for path in wanted.get("watch") or ()),
        tuple(Path(path) for path in wanted.get("reload") or ()),
        Path(heartbeat) if heartbeat else None,
        bool(wanted.get("consuming")),
        tuple(wanted.get("spare") or ()),
    )


class Units:
    def __init__(self, parameters: dict[str, Any], *, dry: bool) -> None:
        self.services = [service(unit, wanted) for unit, wanted in sorted(parameters["services"].items())]
        self.exactly: list[str] = parameters["exactly"]
        self.files: dict[str, str] = parameters["files"]
        self.at_once: bool = parameters["at_once"]
        self.running: list[str] = parameters["running"]
        self.timeout: int = parameters["timeout"]
        self.dry = dry
        self.systemd = Systemd()

    def converge(self) -> tuple[Work, Changes]:
        names = [wanted.unit for wanted in self.services]
        # A unit that a timer starts is not in `services`, its drop-in in `files` says that it is wanted.
        defined = [name.partition(".d/")[0] for name in self.files]
        departed = departed_units(self.exactly, [*names, *defined], self.systemd.known(self.exactly))
        folder = Folder(SYSTEM, self.files, exactly=departed_files(self.exactly))
        expected = converge(folder, dry=True)
        if not self.dry:
            if expected.added or expected.changed:
                self.systemd.verify(self.files)
            self._stop(departed)
            converge(folder, dry=False)
        work = plan(
            self.services,
            self.systemd.show(names),
            lambda wanted: self._newest_change(wanted, expected),
            departed,
            files_change=bool(expected),
        )
        work = work.limited(self.running)
        if not self.dry:
            self._carry_out(work)
        return work, expected

    def _newest_change(self, wanted: Service, expected: Changes) -> float:
        defined = unit_files(wanted.unit)
        changing = {Path(path) for path in expected.paths()}
        if any(path in defined or path.parent in defined for path in changing):
            return time.time()
        return newest_change((*defined, *wanted.watch))

    def _reload(self, wanted: Service) -> None:
        try:
            # systemd reloads nothing that has not come up.
            self.systemd.call("systemctl", "start", "--", wanted.unit)
            self.systemd.call("systemctl", "reload", "--", wanted.unit)
        except ServiceFailed:
            # systemd counts it as settled; the next run is to try again.
            next(path for path in wanted.reload if path.exists()).touch()
            raise

    def _stop(self, departed: list[str]) -> None:
        if departed:
            self.systemd.call("systemctl", "stop", "--", *departed)
            self.systemd.call("systemctl", "disable", "--quiet", "--", *departed)
            self.systemd.call("systemctl", "reset-failed", "--", *departed, check=False)

    def _carry_out(self, work: Work) -> None:
        if work.reload:
            self.systemd.call("systemctl", "daemon-reload")
        if work.enable:
            self.systemd.call("systemctl", "enable", "--quiet", "--", *work.enable)
        if work.start:
            self.systemd.call("systemctl", "reset-failed", "--", *work.start, check=False)
        services = {wanted.unit: wanted for wanted in self.services}
        if work.revive:
            self.systemd.call("systemctl", "stop", "--", *work.revive)
        nodes = [unit for unit in work.start if services[unit].spare]
        if nodes or work.revive:
            self.systemd.call("systemctl", "start", "--no-block", "--", *nodes, *work.revive)
        if others := [unit for unit in work.start if unit not in nodes]:
            self.systemd.call("systemctl", "start", "--", *others)
        for unit in work.refresh:
            self._reload(services[unit])
        for units in [work.restart] if self.at_once and work.restart else [[unit] for unit in work.restart]:
            for unit in units:
                if spare := services[unit].spare:
                    self.systemd.call(*spare)
            self.systemd.call("systemctl", "restart", "--", *units)
            self.systemd.wait_for_beats([services[unit] for unit in units], self.timeout)
        self.systemd.wait_for_beats(self.services, self.timeout)


def main() -> None:
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    try:
        work, files = Units(module.params, dry=module.check_mode).converge()
    except (OSError, ServiceFailed) as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(work) or bool(files),
        started=work.start,
        restarted=[*work.revive, *work.restart],
        reloaded=work.refresh,
        stopped=work.stop,
        files=sorted(files.paths()),
        diff=files.diff,
    )


if __name__ == "__main__":
    main()
