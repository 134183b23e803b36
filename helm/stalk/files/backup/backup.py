"""backup.py PLAN: a backup of the stack, encrypted, in the folder of its volume. It runs in a pod."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import database_beside
import object_store
import redis_node
from ansible_collections.stalk.celery.plugins.module_utils.backup_identity import BackupIdentity, age
from ansible_collections.stalk.celery.plugins.module_utils.backups import (
    MANIFEST,
    RUN,
    BackupRefused,
    Manifest,
    Part,
    complete,
    draft_of,
    drafts,
    file_of,
    name_at,
    names,
    not_in_it,
    readable,
    remove,
    required,
    sha256_of,
    superseded,
)
from ansible_collections.stalk.celery.plugins.module_utils.broker.resp import RedisRefused
from kubernetes_secrets import Refused

FOLDER = Path("/backups")
IDENTITY = Path("/etc/stalk/identity/BACKUP_IDENTITY")
BROKER_URL = Path("/etc/stalk/credentials/CELERY_BROKER_URL")


class Source(Protocol):
    def read(self, most: int = -1) -> bytes: ...


class Digested:
    """A source, and what went through: its SHA-256, how many bytes it was, and the error that ended it."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.sha256 = hashlib.sha256()
        self.size = 0
        self.error: Exception | None = None

    def read(self, most: int = -1) -> bytes:
        try:
            block = self.source.read(most)
        except Exception as error:
            self.error = error
            raise
        self.sha256.update(block)
        self.size += len(block)
        return block


def identity() -> BackupIdentity:
    return BackupIdentity(IDENTITY.read_text().strip())


@contextmanager
def alone() -> Iterator[None]:
    """One run at a time has the folder."""
    with (FOLDER / RUN).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError("another backup or restore is under way; see the Jobs") from None
        yield


def seal(source: Source, key: BackupIdentity, target: Path) -> Digested:
    """Encrypts to a file, which is then decrypted to its end."""
    plain = Digested(source)
    with target.open("xb") as sealed:
        try:
            age().encrypt_io(plain, sealed, [age().x25519.Recipient.from_str(key.recipient)])
        except age().EncryptError as error:
            # It wraps what reader and writer raise.
            raise plain.error or OSError(f"{target.name}: {error}") from None
    if key.digest(target) != plain.sha256.hexdigest():
        raise BackupRefused(f"{target.name}: does not decrypt to what was copied; run it again")
    return plain


def part(kind: str, version: str, target: Path, space: int) -> Part:
    return Part(kind, version, target.name, target.stat().st_size, sha256_of(target), space)


def copy_broker(plan: Mapping[str, Any], key: BackupIdentity, draft: Path) -> Part:
    kind = plan["broker"]["kind"]
    target = draft / file_of("broker", kind)
    with redis_node.connected(BROKER_URL.read_text(), plan["app"]["name"], to_write=False) as (node, version):
        plain = seal(node.copy(), key, target)
    return part(kind, version, target, plain.size)


def copy_database(key: BackupIdentity, draft: Path) -> Part:
    target = draft / file_of("database", "postgresql")
    with database_beside.copied() as dump:
        seal(dump, key, target)
    facts = database_beside.facts()
    return part("postgresql", facts.version, target, facts.size)


def make(plan: Mapping[str, Any]) -> str:
    """Its name. The broker goes first: a task that ends between the two has a closed row in the database, so its copy
    in the broker is dropped; one that is sent between has an open row, and the sweep sends it."""
    key, name = identity(), name_at(datetime.now(UTC))
    for left in drafts(FOLDER):
        shutil.rmtree(left)
    if (FOLDER / name).exists():
        raise BackupRefused(f"{FOLDER / name}: is there already; run it again")
    draft = draft_of(FOLDER, name)
    draft.mkdir(mode=0o750)
    parts = {"broker": copy_broker(plan, key, draft)} if "broker" in required(plan) else {}
    parts["database"] = copy_database(key, draft)
    complete(FOLDER, name, Manifest(plan["app"]["name"], key.recipient, (plan["release"],), parts), key.code)
    lines = [f"{which}: {of.kind} {of.version}, {readable(of.size)}" for which, of in sorted(parts.items())]
    lines += [f"not in it: {what}" for what in not_in_it(plan)]
    print("\n".join([f"backup {name}", *(f"  {line}" for line in lines)]), flush=True)
    return name


def send(store: object_store.ObjectStore, plan: Mapping[str, Any], made: str) -> None:
    """And what an earlier run could not send; then only this stack's own go. What fails here is not tried again, which
    would make another backup, and push older ones out."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        files, here, owner = store.files(), set(names(FOLDER)), (plan["app"]["name"], identity().recipient)
        there = {name for name, found in files.items() if MANIFEST in found}
        ours = {name for name in there if owner_of(store.manifest(name)) == owner}
        if strange := sorted(here & there - ours):
            raise BackupRefused(f"{store.url}: has {strange[-1]} of another stack; give each a folder of its own")
        old = set(superseded(sorted(ours | here), plan["keep"], made))
        for name in sorted(here - ours - old):
            store.send(FOLDER / name)
            print(f"  sent to {store.url}: {name}", flush=True)
        for name in sorted(ours & old):
            store.remove(name, files[name])
            print(f"  removed from {store.url}, as {plan['keep']} are kept: {name}", flush=True)
    except OSError as error:
        raise BackupRefused(f"{error}. The backup is on the volume, and goes there with the next.") from None


def owner_of(manifest: Manifest) -> tuple[str, str]:
    """Its app, and for whose key it is encrypted."""
    return manifest.app, manifest.recipient


def forget_old(plan: Mapping[str, Any], made: str) -> None:
    for name in superseded(names(FOLDER), plan["keep"], made):
        remove(FOLDER, name)
        print(f"  removed, as {plan['keep']} are kept: {name}", flush=True)


@contextmanager
def in_one_line() -> Iterator[None]:
    """What speaks against it, and the status by which the Job ends at once or tries again."""
    try:
        yield
    except BackupRefused as refused:
        print(f"stalk: {refused}", file=sys.stderr)
        sys.exit(1)
    except (database_beside.DatabaseRefused, RedisRefused, Refused, OSError) as error:
        who = "broker: " if isinstance(error, RedisRefused) else ""
        print(f"stalk: {who}{error}; mend it, or wait for the next try", file=sys.stderr)
        sys.exit(os.EX_TEMPFAIL)


def end_by_sigterm() -> None:
    """The first process of a container ignores it otherwise."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def main() -> None:
    end_by_sigterm()
    plan = json.loads(Path(sys.argv[1]).read_text())
    with in_one_line(), alone():
        if database_beside.facts().is_marked:
            raise BackupRefused("a restore has not ended, and this would be a backup of two times; end it first")
        store = object_store.of_plan(plan)
        made = make(plan)
        forget_old(plan, made)
        if store:
            send(store, plan, made)


if __name__ == "__main__":
    main()
