"""A copy of what Redis or Valkey has, and its way back.

The copy is the base of the append-only file, which BGREWRITEAOF writes anew: an RDB of that moment, and what the server
begins with when a manifest names it so. With `appendonly yes` it would not look at a dump.rdb.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.stalk.celery.plugins.module_utils.sealed_stream import (
    CommandFailed,
    Sealed,
    blocks,
    check_space,
    one_line,
    seal,
    unsealed,
)

FOLDER = "appendonlydir"
MANIFEST = "appendonly.aof.manifest"
FIRST_BASE = "appendonly.aof.1.base.rdb"
BASE = re.compile(r"^file (\S+) seq \d+ type b\b", re.MULTILINE)
SECONDS_TO_COPY = 3600


def base_of(manifest: str) -> str:
    """The file with the base, as the manifest of the append-only file names it; empty where there is none yet."""
    found = BASE.search(manifest)
    return found[1] if found else ""


def figures_of(info: str) -> dict[str, str]:
    """What INFO answers."""
    return dict(line.split(":", 1) for line in info.splitlines() if ":" in line)


def is_rewriting(figures: Mapping[str, str]) -> bool:
    return "1" in (figures["aof_rewrite_in_progress"], figures["aof_rewrite_scheduled"])


def is_mount_point(path: Path) -> bool:
    """One within its own file system too, which os.path.ismount does not know."""
    mounted = Path("/proc/self/mountinfo").read_text().splitlines()
    return str(path) in [line.split()[4] for line in mounted]


@dataclass(frozen=True)
class RedisHere:
    """The server of this host, asked through its socket by the user `operator`."""

    app: str
    kind: str
    root: Path = Path("/")

    @property
    def data(self) -> Path:
        return self.root / f"var/lib/{self.app}-{self.kind}"

    def restored(self, moment: str) -> Path:
        return self.data.with_name(f"{self.data.name}.restored-{moment}")

    def ask(self, *command: str) -> str:
        password = (self.root / f"run/{self.app}-redis-operator").read_text().strip()
        socket = str(self.root / f"run/{self.app}-redis/redis.sock")
        done = subprocess.run(
            [f"{self.kind}-cli", "-e", "-s", socket, "--user", "operator", "--no-auth-warning", *command],
            env={**os.environ, "REDISCLI_AUTH": password},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise CommandFailed(f"{self.kind}: {one_line(done.stderr or done.stdout)}")
        return done.stdout

    def figures(self, section: str) -> dict[str, str]:
        return figures_of(self.ask("INFO", section))

    def version(self) -> str:
        server = self.figures("server")
        return server.get("valkey_version") or server["redis_version"]

    def is_primary(self) -> bool:
        return self.figures("replication")["role"] == "master"

    def base(self) -> Path:
        name = base_of((self.data / FOLDER / MANIFEST).read_text())
        return self.data / FOLDER / name

    def copy(self, recipient: str, target: Path) -> Sealed:
        before = self.base()
        self.wait_for_rewrite()
        self.ask("BGREWRITEAOF")
        self.wait_for_rewrite()
        if self.figures("persistence")["aof_last_bgrewrite_status"] != "ok" or self.base() == before:
            raise CommandFailed(f"{self.kind}: could not write its append-only file anew; its journal says why")
        # A further rewrite removes the file; who has it open can read it still.
        with self.base().open("rb") as base:
            check(self.kind, f"/proc/self/fd/{base.fileno()}", base.fileno())
            return seal(blocks(base), recipient, target)

    def wait_for_rewrite(self) -> None:
        deadline = time.monotonic() + SECONDS_TO_COPY
        while is_rewriting(self.figures("persistence")):
            if time.monotonic() > deadline:
                raise CommandFailed(f"{self.kind}: still writes its append-only file after {SECONDS_TO_COPY} s")
            time.sleep(0.2)

    def unpack(self, sealed: Path, identity: str, moment: str, space: int) -> None:
        """Beside its data. What earlier runs left goes."""
        if is_mount_point(self.data):
            raise CommandFailed(f"{self.data} is a mount point, and no folder could take its place")
        for left in self.data.parent.glob(self.restored("*").name):
            shutil.rmtree(left)
        check_space(self.data.parent, space)
        beside = self.restored(moment)
        try:
            self._unpack(sealed, identity, beside)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise

    def _unpack(self, sealed: Path, identity: str, beside: Path) -> None:
        """The manifest comes last, and says that all is there."""
        folder = beside / FOLDER
        beside.mkdir(mode=0o700)
        folder.mkdir(mode=0o700)
        with unsealed(sealed, identity) as plain, (folder / FIRST_BASE).open("xb") as base:
            shutil.copyfileobj(plain, base)
            base.flush()
            os.fsync(base.fileno())
        check(self.kind, str(folder / FIRST_BASE))
        draft = folder / f"{MANIFEST}.new"
        draft.write_text(f"file {FIRST_BASE} seq 1 type b\n")
        for path in (beside, folder, *folder.iterdir()):
            shutil.chown(path, self.kind, self.kind)
            path.chmod(0o700 if path.is_dir() else 0o600)
        draft.rename(folder / MANIFEST)

    def take_place(self, moment: str) -> Path | None:
        """Of a server that has stopped. Where its data are now, if there were any."""
        beside = self.restored(moment)
        if not (beside / FOLDER / MANIFEST).is_file():
            raise CommandFailed(f"{beside} is not there or not whole, as another restore is under way")
        aside = self.data.with_name(f"{self.data.name}.left-{moment}") if self.data.exists() else None
        if aside:
            self.data.rename(aside)
        beside.rename(self.data)
        return aside


def check(kind: str, path: str, *descriptors: int) -> None:
    done = subprocess.run(
        [f"{kind}-check-rdb", path], capture_output=True, text=True, check=False, pass_fds=descriptors
    )
    if done.returncode:
        raise CommandFailed(f"{kind}-check-rdb: {one_line(done.stdout)[-300:]}")
