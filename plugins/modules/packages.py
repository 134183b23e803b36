"""Debian packages that a role needs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: packages
short_description: Install Debian packages that are missing
description:
  - Asks dpkg alone when every package is there, which takes a small part of the time that opening apt's cache takes.
  - Fetches the package lists before it installs anything, unless they were fetched within the last hour.
  - In check mode it needs no lists, so that it also answers for a host that has none yet.
  - It installs what is missing and upgrades nothing; recommended packages stay out.
options:
  names:
    description: Names of the packages.
    type: list
    elements: str
    required: true
  start_services:
    description: Whether services of the packages may start when they are installed.
    type: bool
    default: true
  masked_units:
    description:
      - Units of the packages that shall never run; stopped and masked before the packages come.
    type: list
    elements: str
    default: []
author: [Stalk developers]
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
"""

EXAMPLES = r"""
- name: Package
  stalk.celery.packages:
    names: [nginx]
    start_services: false
"""

RETURN = r"""
installed: {description: Packages that were missing., type: list, returned: always}
masked: {description: Units that were not masked., type: list, returned: always}
"""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

LISTS = Path("/var/lib/apt/lists")
FETCHED = Path("/var/lib/apt/periodic/update-success-stamp")
FRESH = 3600
POLICY = Path("/usr/sbin/policy-rc.d")
SYSTEM = Path("/etc/systemd/system")
LOCK_TIMEOUT = 300
LINES_SHOWN = 5
OUR_POLICY = "#!/bin/sh\n# Written by Stalk while it installs packages; nothing of it stays.\nexit 101\n"
TRIES_OF_UPDATE = 3
SECONDS_BETWEEN_TRIES = 5.0


class PackagesFailed(Exception):
    """A message for the person who deploys."""


def missing(names: list[str]) -> list[str]:
    query = ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *names]
    listed = subprocess.run(query, capture_output=True, text=True, check=False).stdout
    present = {line.removesuffix(" installed") for line in listed.splitlines() if line.endswith(" installed")}
    return [name for name in names if name not in present]


def apt_get(*arguments: str) -> None:
    command = ["apt-get", "--quiet", "--yes", f"--option=DPkg::Lock::Timeout={LOCK_TIMEOUT}", *arguments]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"},
    )
    if done.returncode:
        complaints = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        said = " ".join(complaints or done.stderr.splitlines()[-LINES_SHOWN:])
        raise PackagesFailed(f"apt-get {arguments[0]}: {said}; mend it on the host and run again")


def unmasked(units: list[str]) -> list[str]:
    return [unit for unit in units if os.path.realpath(SYSTEM / unit) != os.devnull]


def mask(units: list[str]) -> None:
    done = subprocess.run(["systemctl", "mask", "--now", *units], capture_output=True, text=True, check=False)
    if done.returncode or unmasked(units):
        raise PackagesFailed(
            f"systemctl mask {' '.join(units)}: {done.stderr.strip()}; mend it on the host and run again"
        )


def lists_are_fresh() -> bool:
    """Whether lists were fetched lately. A folder of lists proves nothing: images come with an empty new one."""
    fetched = max((path.stat().st_mtime for path in (LISTS, FETCHED) if path.exists()), default=0.0)
    return any(LISTS.glob("*Packages*")) and time.time() - fetched < FRESH


@contextlib.contextmanager
def services_held() -> Iterator[None]:
    """Keeps packages from starting services, unless the host has a policy of its own."""
    if POLICY.exists() and not remove_our_policy():
        yield
        return
    POLICY.write_text(OUR_POLICY)
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def remove_our_policy() -> bool:
    """Whether a run that was killed had left one."""
    ours = POLICY.exists() and POLICY.read_text(errors="replace") == OUR_POLICY
    if ours:
        POLICY.unlink()
    return ours


def fetch_lists() -> None:
    """A mirror that answers badly once mostly answers well a moment later."""
    for tries_left in reversed(range(TRIES_OF_UPDATE)):
        try:
            apt_get("update")
            return
        except PackagesFailed:
            if not tries_left:
                raise
            # Nothing tells when the mirror has recovered.
            time.sleep(SECONDS_BETWEEN_TRIES)


def install(names: list[str], *, start_services: bool) -> None:
    remove_our_policy()
    if not lists_are_fresh():
        fetch_lists()
    with contextlib.nullcontext() if start_services else services_held():
        apt_get("install", "--no-install-recommends", *names)


def main() -> None:
    module = AnsibleModule(
        {
            "names": {"type": "list", "elements": "str", "required": True},
            "start_services": {"type": "bool", "default": True},
            "masked_units": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    given: dict[str, Any] = module.params
    try:
        absent, startable = missing(given["names"]), unmasked(given["masked_units"])
        if startable and not module.check_mode:
            mask(startable)
        if absent and not module.check_mode:
            install(absent, start_services=given["start_services"])
    except (OSError, PackagesFailed) as error:
        module.fail_json(msg=str(error))
    changes = [*(f"masked {unit}" for unit in startable), *absent]
    difference = {"before": "", "after": "".join(f"{change}\n" for change in changes), "after_header": "packages"}
    module.exit_json(changed=bool(changes), installed=absent, masked=startable, diff=difference if changes else {})


if __name__ == "__main__":
    main()
