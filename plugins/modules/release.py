"""Builds, migrates and switches to a release of the project."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release
short_description: Build, migrate and switch to a release of a Django project
description:
  - C(built) makes I(root)/releases/I(version) with the project, its virtual environment and its static files.
    A release that is not complete is never used; when building fails nothing else has changed. It is refused when
    its packages, its Celery application or the scheduler are not what the units need.
  - C(migrated) applies the database migrations with the code of that release.
  - C(current) takes I(settings)/next into use, points I(root)/current at the release and removes releases beyond
    I(keep), none that a process still uses. It keeps what was in use, but for secrets, in I(settings)/before.
  - C(back) has the processes of I(components) run that again. It fails when there is none.
  - C(proven) forgets it, and marks the release as one that came up, when every process of I(components) runs it.
options:
  app:
    description: Name of the app, which is also the system user that runs manage.py.
    type: str
    required: true
  root:
    description: Folder of the releases.
    type: path
    required: true
  settings:
    description:
      - Folder with the components' environment, C(credentials) and C(pki). What lies in its folder C(next) is for this
        release and wins.
    type: path
    required: true
  version:
    description: Name of the release.
    type: str
    required: true
  state:
    description: What to reach.
    type: str
    choices: [built, migrated, current, proven, back]
    required: true
  source:
    description: The project's folder on the control node, for C(built); without it the release has to be there.
    type: path
  archive:
    description: The project's archive on the host; the action plugin sets it.
    type: path
  component:
    description: The component whose environment and credentials manage.py gets, for C(built) and C(migrated).
    type: str
    default: ""
  certificates:
    description: PEM bundle on the host that pip trusts.
    type: path
  digest:
    description: A digest of the source; a complete release of another source is refused. The action plugin sets it.
    type: str
  celery:
    description: The Celery application, as C(celery -A) takes it, for C(built).
    type: str
    default: ""
  scheduler:
    description: Beat's scheduler; empty for no beat.
    type: str
    default: ""
  parts:
    description: Parts of the stack that need packages of their own.
    type: list
    elements: str
    choices: [web, beat, flower, gevent, results]
    default: []
  keep:
    description: How many releases stay, the current one included.
    type: int
    default: 3
  components:
    description: Components of this host, for C(current), C(proven) and C(back).
    type: list
    elements: str
    choices: [web, worker, beat, flower]
    default: []
  going_back:
    description: Components whose processes go back.
    type: list
    elements: str
    choices: [web, worker, beat, flower]
    default: []
  way_back:
    description: Whether C(current) keeps what was in use. Where the broker changes nothing leads back.
    type: bool
    default: true
  withdraw:
    description: Whether no later rollback is to bring back the release that C(proven) leaves.
    type: bool
    default: false
author: [Stalk developers]
attributes:
  check_mode: {support: full}
  diff_mode: {support: none}
"""

EXAMPLES = r"""
- name: Release
  stalk.celery.release:
    app: shop
    root: /srv/shop
    settings: /etc/shop
    version: "2026.11"
    source: /home/me/shop
    component: web
    celery: config.celery
    state: built
"""

RETURN = r"""
before: {description: The version to which C(back) would go; empty when none., type: str, returned: always}
built: {description: Whether the release is complete., type: bool, returned: always}
current: {description: The version that is current., type: str, returned: always}
migrated: {description: Whether the database is as this release has migrated it., type: bool, returned: state is built}
logins:
  description: Secrets by which the app logs in to broker and database and which wait, changed, to be taken into use.
  type: list
  elements: str
  returned: always
proven: {description: Whether the release's processes have come up here., type: bool, returned: always}
staged: {description: Whether environment or credentials wait to be taken into use., type: bool, returned: always}
surplus: {description: Releases beyond I(keep)., type: list, returned: always}
"""

import errno
import shutil
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stalk.celery.plugins.module_utils.releases import (
    MIGRATED,
    Manage,
    ReleaseFailed,
    Releases,
    Settings,
    Wanted,
    build,
    check_requirements,
    migrations_applied,
    verify,
)
from ansible_collections.stalk.celery.plugins.module_utils.services import ServiceFailed, Systemd
from ansible_collections.stalk.celery.plugins.module_utils.way_back import COMPONENTS, WayBack

NOTHING_TO_MIGRATE = "No migrations to apply"

ARGUMENTS: dict[str, dict[str, Any]] = {
    "app": {"type": "str", "required": True},
    "root": {"type": "path", "required": True},
    "settings": {"type": "path", "required": True},
    "version": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["built", "migrated", "current", "proven", "back"], "required": True},
    "source": {"type": "path"},
    "archive": {"type": "path"},
    "component": {"type": "str", "default": ""},
    "certificates": {"type": "path"},
    "digest": {"type": "str"},
    "celery": {"type": "str", "default": ""},
    "scheduler": {"type": "str", "default": ""},
    "parts": {
        "type": "list",
        "elements": "str",
        "default": [],
        "choices": ["web", "beat", "flower", "gevent", "results"],
    },
    "keep": {"type": "int", "default": 3},
    "components": {"type": "list", "elements": "str", "default": [], "choices": list(COMPONENTS)},
    "going_back": {"type": "list", "elements": "str", "default": [], "choices": list(COMPONENTS)},
    "way_back": {"type": "bool", "default": True},
    "withdraw": {"type": "bool", "default": False},
}
REQUIRED_IF = [("state", "built", ["component", "celery"]), ("state", "migrated", ["component"])]


class Release:
    def __init__(self, parameters: dict[str, Any], *, dry: bool) -> None:
        self.version: str = parameters["version"]
        self.keep: int = parameters["keep"]
        self.digest: str = parameters["digest"] or ""
        self.celery: str = parameters["celery"]
        self.scheduler: str = parameters["scheduler"]
        self.parts: tuple[str, ...] = tuple(parameters["parts"])
        self.archive = Path(parameters["archive"]) if parameters["archive"] else None
        self.certificates = Path(parameters["certificates"]) if parameters["certificates"] else None
        self.releases = Releases(Path(parameters["root"]))
        self.settings = Settings(Path(parameters["settings"]))
        self.manage = Manage(parameters["app"], parameters["component"], self.settings)
        self.way_back = WayBack(
            parameters["app"], parameters["components"], self.settings.folder, self.releases, Systemd()
        )
        self.going_back: list[str] = parameters["going_back"]
        self.keeps_way_back: bool = parameters["way_back"]
        self.withdraws: bool = parameters["withdraw"]
        self.dry = dry

    @property
    def _mark(self) -> Path:
        return self.releases.path(self.version) / MIGRATED

    def is_migrated(self) -> bool:
        try:
            mark = self._mark.read_text()
        except OSError:
            return False
        return mark == migrations_applied(self.manage, self.releases.path(self.version))

    def surplus(self, current: str | None) -> list[str]:
        spared = {version for version in (self.version, current, self.way_back.version()) if version}
        return self.releases.surplus(self.keep, frozenset(spared) | self.releases.in_use())

    def built(self) -> bool:
        if self.releases.is_complete(self.version):
            self._check()
            return False
        if not self.digest:
            raise ReleaseFailed(
                f"{self.releases.path(self.version)}: the release is not there, or half of it; choose another"
            )
        if self.archive and not self.dry:
            wanted = Wanted(
                self.archive, self.digest, self.celery, self.scheduler, self.parts, certificates=self.certificates
            )
            build(self.releases, self.version, self.manage, wanted)
        return bool(self.archive) or self.dry

    def _check(self) -> None:
        """A release that was built before may not be what is asked for now."""
        if self.digest and self.releases.source(self.version) not in ("", self.digest):
            raise ReleaseFailed(
                f"app.servers.version: {self.version} was built from another source than app.servers.source has now; "
                "give another version, or none"
            )
        check_requirements(self.releases, self.version, self.parts)
        if not self.dry:
            verify(self.manage, self.releases.path(self.version), self.celery, self.scheduler)

    def migrated(self) -> bool:
        done = self.is_migrated()
        if done or self.dry:
            return not done
        release = self.releases.path(self.version)
        said = self.manage.run(release, "migrate", "--noinput", "--verbosity=1")
        self._mark.write_text(migrations_applied(self.manage, release) or "")
        return NOTHING_TO_MIGRATE not in said

    def current(self) -> bool:
        before = self.releases.current()
        switches, staged = before != self.version, self.settings.next.exists()
        surplus = self.surplus(before)
        if not self.dry:
            if before and (switches or staged):
                self._leave(before)
            self.settings.take_into_use()
            if switches:
                self.releases.switch(self.version)
            self.releases.prune(surplus)
        return switches or staged or bool(surplus)

    def _leave(self, before: str) -> None:
        if not self.keeps_way_back:
            self.way_back.forget()
        # One that an interrupted run made current may not work.
        elif not self.way_back.version() or self._came_up(before):
            self.way_back.keep(before)

    def _came_up(self, version: str) -> bool:
        is_other = self.way_back.version() != version
        return is_other and self.releases.is_proven(version) and self.way_back.all_run(version)

    def proven(self) -> bool:
        is_news = not self._is_known and self.way_back.all_run(self.version)
        if is_news and not self.dry:
            self.releases.prove(self.version)
            if self.withdraws and (left := self.way_back.version()) not in (None, self.version):
                self.releases.withdraw(left)
            self.way_back.forget()
        return is_news

    @property
    def _is_known(self) -> bool:
        return self.releases.is_proven(self.version) and not self.way_back.version()

    def back(self) -> bool:
        if not self.dry:
            self.way_back.go(self.going_back)
        return True

    def facts(self) -> dict[str, Any]:
        current = self.releases.current()
        return {
            "before": self.way_back.version() or "",
            "built": self.releases.is_complete(self.version),
            "current": current or "",
            "logins": self.settings.changed_logins(),
            "proven": self._is_known,
            "staged": self.settings.next.exists(),
            "surplus": self.surplus(current),
        }


def explain(error: OSError | ReleaseFailed, release: Release) -> str:
    """One message: what failed, what it left as it was and what helps."""
    current = release.releases.current()
    kept = f"release {current} stays in use" if current else "no release is in use yet"
    full = (isinstance(error, OSError) and error.errno == errno.ENOSPC) or "No space left on device" in str(error)
    if full:
        folder = release.releases.folder
        free = shutil.disk_usage(folder if folder.exists() else release.releases.root).free // 2**20
        return (
            f"{folder}: no space left on the disk, release {release.version} needs more than the {free} MiB that are "
            f"free; {kept}. "
            "Free some space, or lower app.servers.keep_releases, and run again"
        )
    return f"Release {release.version} failed; {kept}. {error}"


def main() -> None:
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True, required_if=REQUIRED_IF)
    release = Release(module.params, dry=module.check_mode)
    try:
        changed = getattr(release, module.params["state"])()
        migrated = {"migrated": release.is_migrated()} if module.params["state"] == "built" else {}
        module.exit_json(changed=changed, **release.facts(), **migrated)
    except ServiceFailed as error:
        module.fail_json(msg=str(error), **release.facts())
    except (OSError, ReleaseFailed) as error:
        module.fail_json(msg=explain(error, release), **release.facts())


if __name__ == "__main__":
    main()
