"""Releases of a project on a host: /srv/<app>/releases/<version>/{app,venv,static} and the link `current`."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

COMPLETE = ".complete"
MIGRATED = ".migrated"
NO_SPACE = os.strerror(errno.ENOSPC)
LINES_SHOWN = 12


class ReleaseFailed(Exception):
    """A message for the person who deploys."""


@dataclass(frozen=True)
class Releases:
    root: Path

    @property
    def folder(self) -> Path:
        return self.root / "releases"

    def path(self, version: str) -> Path:
        return self.folder / version

    def is_complete(self, version: str) -> bool:
        return (self.path(version) / COMPLETE).is_file()

    def current(self) -> str | None:
        """The version that `current` links to."""
        try:
            return (self.root / "current").readlink().name
        except OSError:
            return None

    def newest_first(self) -> list[str]:
        """Complete releases, by the time when each was finished."""
        finished = {path.parent.name: path.stat().st_mtime for path in self.folder.glob(f"*/{COMPLETE}")}
        return sorted(finished, key=lambda version: (-finished[version], version))

    def surplus(self, keep: int, spared: frozenset[str]) -> list[str]:
        """What goes: half-built releases, and all but the newest `keep`; never one that is spared."""
        complete = self.newest_first()
        spared_complete = [version for version in complete if version in spared]
        room = max(keep - len(spared_complete), 0)
        kept = {*spared, *[version for version in complete if version not in spared][:room]}
        present = sorted(path.name for path in self.folder.glob("*") if path.is_dir())
        return [version for version in present if version not in kept]

    def in_use(self) -> frozenset[str]:
        """Versions whose code a process runs from: a draining worker may be older than `current`."""
        found = set()
        for link in Path("/proc").glob("[0-9]*/cwd"):
            try:
                path = link.readlink()
            except OSError:
                continue
            if path.is_relative_to(self.folder.resolve()) and path != self.folder.resolve():
                found.add(path.relative_to(self.folder.resolve()).parts[0])
        return frozenset(found)

    def switch(self, version: str) -> None:
        """Points `current` at a release, at once."""
        if not self.is_complete(version):
            raise ReleaseFailed(f"{self.path(version)}: this release is not complete; build it first")
        link = self.root / ".current.new"
        link.unlink(missing_ok=True)
        link.symlink_to(Path("releases") / version)
        link.replace(self.root / "current")

    def prune(self, versions: Sequence[str]) -> None:
        for version in versions:
            (self.path(version) / COMPLETE).unlink(missing_ok=True)
            shutil.rmtree(self.path(version))


@dataclass(frozen=True)
class Manage:
    """Runs manage.py of a release as the app's user, with a component's environment and credentials."""

    app: str
    component: str
    settings: Path

    def command(self, release: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> list[str]:
        unit = f"{self.app}-manage-{arguments[0]}.service"
        properties = {
            "User": self.app,
            "Group": self.app,
            "WorkingDirectory": str(release / "app"),
            "EnvironmentFile": str(self.settings / f"{self.component}.env"),
            "ReadWritePaths": f"-{release}/static",
            "ProtectSystem": "strict",
            "ProtectHome": "yes",
            "PrivateTmp": "yes",
            "PrivateDevices": "yes",
            "NoNewPrivileges": "yes",
            "CapabilityBoundingSet": "",
        }
        credentials = {path.name: path for path in sorted((self.settings / "credentials" / self.component).glob("*"))}
        key = self.settings / "pki" / f"{self.component}.key"
        if key.exists():
            credentials["CELERY_TLS_KEY"] = key
            held = f"/run/credentials/{unit}/CELERY_TLS_KEY"
            environment = {**environment, "CELERY_TLS_KEY": held, "PGSSLKEY": held}
        return [
            "systemd-run",
            *("--quiet", "--wait", "--pipe", "--collect", f"--unit={unit}"),
            f"--description={self.app}: manage.py {arguments[0]}",
            *(f"--property={name}={value}" for name, value in properties.items()),
            *(f"--property=LoadCredential={name}:{path}" for name, path in credentials.items()),
            "--",
            # EnvironmentFile= would win over --setenv=.
            *("/usr/bin/env", *(f"{name}={value}" for name, value in environment.items())),
            *(str(release / "venv/bin/python"), "manage.py", *arguments),
        ]

    def run(self, release: Path, *arguments: str) -> str:
        static = {"DJANGO_STATIC_ROOT": str(release / "static")}
        return run(self.command(release, arguments, static), f"manage.py {' '.join(arguments)}")


def build(releases: Releases, version: str, archive: Path, manage: Manage, certificates: Path | None) -> None:
    """Builds a release in its place; the file that says it is complete is written last."""
    release = releases.path(version)
    if release.exists():
        shutil.rmtree(release)
    try:
        _unpack(archive, release / "app")
        _install(release, certificates)
        manage.run(release, "check")
        _collect_static(release, manage)
        (release / COMPLETE).touch()
        os.sync()
    except BaseException:
        shutil.rmtree(release, ignore_errors=True)
        raise


def _unpack(archive: Path, target: Path) -> None:
    target.mkdir(parents=True)
    with tarfile.open(archive) as packed:
        packed.extractall(target, filter="data") if hasattr(tarfile, "data_filter") else packed.extractall(target)


def _install(release: Path, certificates: Path | None) -> None:
    python = str(release / "venv/bin/python")
    trusted = {"PIP_CERT": str(certificates)} if certificates else {}
    run(["python3", "-m", "venv", "--without-pip", str(release / "venv")], "python3 -m venv")
    # venv itself runs this too, and keeps its reason to itself.
    run([python, "-m", "ensurepip", "--upgrade", "--default-pip"], "python -m ensurepip")
    run(
        [
            *(python, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"),
            *("--requirement", str(release / "app/requirements.txt")),
        ],
        "pip install",
        cwd=release / "app",
        environment=trusted,
    )
    run([python, "-m", "compileall", "-q", str(release / "app")], "python -m compileall")


def _collect_static(release: Path, manage: Manage) -> None:
    """The app's user may write the folder only for this moment."""
    static = release / "static"
    static.mkdir()
    shutil.chown(static, manage.app, manage.app)
    manage.run(release, "collectstatic", "--noinput", "--verbosity=0")
    for folder, folders, files in os.walk(static):
        for name in (".", *folders, *files):
            os.chown(Path(folder, name), os.geteuid(), os.getegid(), follow_symlinks=False)


def run(
    command: Sequence[str], name: str, *, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> str:
    """The output of a command; its last lines are the message when it fails."""
    clean = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/root"), "LC_ALL": "C.UTF-8"}
    proxies = {key: value for key, value in os.environ.items() if key.lower().endswith("_proxy")}
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**clean, **proxies, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode and NO_SPACE in done.stdout:
        # pip says so, and then a traceback, longer than what is shown, follows.
        raise OSError(errno.ENOSPC, NO_SPACE)
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.strip()][-LINES_SHOWN:]
        raise ReleaseFailed("\n".join([f"{name} ended with {done.returncode}", *lines]))
    return done.stdout
