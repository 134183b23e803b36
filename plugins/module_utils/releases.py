"""Releases of a project on a host: /srv/<app>/releases/<version>/{app,venv,static} and the link `current`."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.managed_files import Folder, converge
from ansible_collections.stalk.celery.plugins.module_utils.release_probes import APPLIED, VERIFY
from ansible_collections.stalk.celery.plugins.module_utils.requirements import installed_versions, lacking
from ansible_collections.stalk.celery.plugins.module_utils.tls_files import LEAF_KEY, tls_variables

COMPLETE = ".complete"
MIGRATED = ".migrated"
VERIFIED = ".verified"
PROVEN = ".proven"
# Names of secrets that broker and database know too, or how they begin.
LOGINS = ("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND", "DATABASE_URL", "RABBITMQ_PASSWORD_")
NO_SPACE = os.strerror(errno.ENOSPC)
LINES_SHOWN = 12
STILL_THERE = "was already loaded"
REFUSED = "refused: "


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

    def source(self, version: str) -> str:
        """The digest of the source that a complete release was built from."""
        return (self.path(version) / COMPLETE).read_text()

    def lacking(self, version: str, parts: Sequence[str]) -> list[str]:
        packages = next(self.path(version).glob("venv/lib/python3*/site-packages"), self.path(version))
        return lacking(installed_versions(packages), parts)

    def current(self) -> str | None:
        """The version that `current` links to."""
        try:
            return (self.root / "current").readlink().name
        except OSError:
            return None

    def newest_first(self, mark: str = COMPLETE) -> list[str]:
        """Complete releases, or those of another mark, by the time when each got it."""
        marked = {path.parent.name: path.stat().st_mtime for path in self.folder.glob(f"*/{mark}")}
        return sorted(marked, key=lambda version: (-marked[version], version))

    def is_proven(self, version: str) -> bool:
        """Whether its processes came up on this host, and no rollback left it."""
        return (self.path(version) / PROVEN).exists()

    def prove(self, version: str) -> None:
        (self.path(version) / PROVEN).touch()

    def withdraw(self, version: str) -> None:
        (self.path(version) / PROVEN).unlink(missing_ok=True)

    def surplus(self, keep: int, spared: frozenset[str]) -> list[str]:
        """What goes: half-built releases, and all but the newest `keep`, of proven ones first; never a spared one."""
        complete = sorted(self.newest_first(), key=lambda version: not self.is_proven(version))
        spared_complete = [version for version in complete if version in spared]
        room = max(keep - len(spared_complete), 0)
        kept = {*spared, *[version for version in complete if version not in spared][:room]}
        present = sorted(path.name for path in self.folder.glob("*") if path.is_dir())
        return [version for version in present if version not in kept]

    def in_use(self) -> frozenset[str]:
        """Versions whose code a process runs from: a draining worker may be older than `current`."""
        found = (self.of_process(process.name) for process in Path("/proc").glob("[0-9]*"))
        return frozenset(version for version in found if version)

    def of_process(self, process: str) -> str | None:
        """The release that a process runs from."""
        folder = self.folder.resolve()
        try:
            path = Path("/proc", process, "cwd").readlink()
        except OSError:
            return None
        return path.relative_to(folder).parts[0] if path.is_relative_to(folder) and path != folder else None

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
class Settings:
    """Environment and credentials of the components; those of the next release lie in a folder of their own."""

    folder: Path

    @property
    def next(self) -> Path:
        return self.folder / "next"

    def path(self, name: str) -> Path:
        staged = self.next / name
        return staged if staged.exists() else self.folder / name

    def changed_logins(self) -> list[str]:
        """Secrets of the next release by which the app logs in, and which those in use are not."""
        staged = [path for path in (self.next / "credentials").glob("*/*") if path.name.startswith(LOGINS)]
        return sorted({path.name for path in staged if self._is_changed(path)})

    def _is_changed(self, staged: Path) -> bool:
        used = self.folder / staged.relative_to(self.next)
        return used.exists() and used.read_bytes() != staged.read_bytes()

    def take_into_use(self) -> bool:
        """Replaces what differs; what is as before keeps its time, by which units know whether to restart."""
        if not self.next.exists():
            return False
        for name, pattern, mode, file_mode in (
            ("", "*.env", 0o755, 0o644),
            ("credentials", "*/*", 0o700, 0o600),
        ):
            staged = self.next / name
            files = {str(path.relative_to(staged)): path.read_text() for path in staged.glob(pattern)}
            if files:
                converge(Folder(self.folder / name, files, mode, file_mode), dry=False)
        shutil.rmtree(self.next)
        return True


@dataclass(frozen=True)
class SettingsInUse(Settings):
    """Those of the processes that run, whatever waits for the next release."""

    def path(self, name: str) -> Path:
        return self.folder / name


@dataclass(frozen=True)
class Manage:
    """Runs Python of a release as the app's user, with a component's environment and credentials."""

    app: str
    component: str
    settings: Settings

    def command(self, release: Path, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> list[str]:
        unit = self.unit(name)
        properties = {
            "User": self.app,
            "Group": self.app,
            "WorkingDirectory": str(release / "app"),
            "EnvironmentFile": str(self.settings.path(f"{self.component}.env")),
            "ReadWritePaths": f"-{release}/static",
            "ProtectSystem": "strict",
            "ProtectHome": "yes",
            "PrivateTmp": "yes",
            "PrivateDevices": "yes",
            "NoNewPrivileges": "yes",
            "CapabilityBoundingSet": "",
        }
        held_in = self.settings.path(f"credentials/{self.component}")
        credentials = {path.name: path for path in sorted(held_in.glob("*"))}
        key = self.settings.folder / "pki" / f"{self.component}.key"
        if key.exists():
            # As in the units, so that what EnvironmentFile= says wins.
            variables = tls_variables(credentials, f"/run/credentials/{unit}")
            properties["Environment"] = " ".join(f"{name}={path}" for name, path in variables.items())
            credentials[LEAF_KEY] = key
        return [
            "systemd-run",
            *("--quiet", "--wait", "--pipe", "--collect", f"--unit={unit}"),
            f"--description={self.app}: {name} of a release",
            *(f"--property={name}={value}" for name, value in properties.items()),
            *(f"--property=LoadCredential={name}:{path}" for name, path in credentials.items()),
            "--",
            # EnvironmentFile= would win over --setenv=.
            *("/usr/bin/env", *(f"{name}={value}" for name, value in environment.items())),
            *(str(release / "venv/bin/python"), *arguments),
        ]

    def unit(self, name: str) -> str:
        return f"{self.app}-manage-{name}.service"

    def run(self, release: Path, *arguments: str) -> str:
        return self._run(release, arguments[0], ["manage.py", *arguments], f"manage.py {' '.join(arguments)}")

    def ask(self, release: Path, name: str, question: str, *arguments: str) -> str:
        return self._run(release, name, ["-c", question, *arguments], f"the project's {name}")

    def answer(self, release: Path, name: str, question: str, *arguments: str) -> Any:
        """What a question prints last, in JSON."""
        return json.loads(self.ask(release, name, question, *arguments).splitlines()[-1])

    def feed(self, release: Path, script: Path, question: str) -> str:
        """What a script says to a question with secrets, which it reads from its standard input."""
        return self._run(release, script.stem.replace("_", "-"), [str(script)], script.name, question)

    def _run(self, release: Path, name: str, arguments: Sequence[str], title: str, stdin: str = "") -> str:
        static = {"DJANGO_STATIC_ROOT": str(release / "static")}
        try:
            return run(self.command(release, name, arguments, static), title, stdin=stdin)
        except ReleaseFailed as failed:
            if STILL_THERE not in str(failed):
                raise
            unit = self.unit(name)
            raise ReleaseFailed(
                f"{title} of an earlier run still goes on as {unit}; wait until it ended "
                f"(journalctl --follow --unit={unit}) and run again"
            ) from None


def migrations_applied(manage: Manage, release: Path) -> str | None:
    """A digest of the migrations that the database says were applied; None when it does not say."""
    try:
        return hashlib.sha256(manage.ask(release, "migrations", APPLIED).encode()).hexdigest()
    except ReleaseFailed:
        return None


@dataclass(frozen=True)
class Wanted:
    """What a release is built from, and what the units expect of it."""

    archive: Path
    source: str
    celery: str
    scheduler: str
    parts: tuple[str, ...]
    certificates: Path | None = None


def build(releases: Releases, version: str, manage: Manage, wanted: Wanted) -> None:
    """Builds a release in its place; the file that says it is complete is written last."""
    release = releases.path(version)
    if release.exists():
        shutil.rmtree(release)
    try:
        _unpack(wanted.archive, release / "app", manage.app)
        _install(release, wanted.certificates)
        check_requirements(releases, version, wanted.parts)
        verify(manage, release, wanted.celery, wanted.scheduler)
        _collect_static(release, manage)
        (release / COMPLETE).write_text(wanted.source)
        os.sync()
    except BaseException:
        shutil.rmtree(release, ignore_errors=True)
        raise


def check_requirements(releases: Releases, version: str, parts: Sequence[str]) -> None:
    if missing := releases.lacking(version, parts):
        them = "it" if len(missing) == 1 else "them"
        raise ReleaseFailed(f"requirements.txt: lacks {', '.join(missing)}; add {them} (docs/contract.md)")


def verify(manage: Manage, release: Path, celery: str, scheduler: str) -> None:
    """Refuses a project that the units could not run; what was found good is written down."""
    mark, asked = release / VERIFIED, f"{celery}\n{scheduler}\n"
    if mark.exists() and mark.read_text() == asked:
        return
    try:
        manage.ask(release, "check", VERIFY, celery, scheduler)
    except ReleaseFailed as failed:
        refused = [line.removeprefix(REFUSED) for line in str(failed).splitlines() if line.startswith(REFUSED)]
        if not refused:
            raise
        raise ReleaseFailed(refused[0]) from None
    mark.write_text(asked)


def _unpack(archive: Path, target: Path, group: str) -> None:
    """Only root and the app may read it: a project's settings may hold what others must not see."""
    target.parent.mkdir(parents=True)
    target.mkdir(mode=0o750)
    shutil.chown(target, group=group)
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
    command: Sequence[str],
    name: str,
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: str = "",
) -> str:
    """The output of a command; its last lines are the message when it fails."""
    clean = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/root"), "LC_ALL": "C.UTF-8"}
    proxies = {key: value for key, value in os.environ.items() if key.lower().endswith("_proxy")}
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**clean, **proxies, **(environment or {})},
        input=stdin,
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
