"""restore.py PLAN BACKUP [--fits]: puts a backup into the place of what broker and database have, and makes one of that
before. It runs in a pod, once nothing of the app does any more. With --fits it only tells whether the backup may come
back.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import backup
import database_beside
import object_store
import redis_beside
import redis_node
from ansible_collections.stalk.celery.plugins.module_utils.backup_identity import BackupIdentity
from ansible_collections.stalk.celery.plugins.module_utils.backups import (
    BackupRefused,
    Manifest,
    broken,
    chosen,
    forged,
    mismatches,
    names,
    read,
    remove,
    required,
    told,
)
from kubernetes_secrets import Cluster

HERE = "the cluster"
UNCHANGED = "Nothing was changed."
UNTOUCHED = "No data were touched; an upgrade without backup.kubernetes.restore starts the app."


def versions(plan: Mapping[str, Any], manifest: Manifest) -> dict[str, dict[str, str]]:
    """Of the servers that run."""
    found = {"database": {HERE: database_beside.facts().version}}
    if "broker" in manifest.parts and "broker" in required(plan):
        with redis_node.connected(backup.BROKER_URL.read_text(), plan["app"]["name"], to_write=True) as (_, version):
            found["broker"] = {HERE: version}
    return found


def bring(plan: Mapping[str, Any], name: str) -> None:
    """To the volume, where it is only in the bucket, or whole only there."""
    is_here = name in names(backup.FOLDER)
    path = backup.FOLDER / name
    if (is_here and not any(broken(path, read(path)))) or (store := object_store.of_plan(plan)) is None:
        return
    if name in (there := store.names()):
        if is_here:
            remove(backup.FOLDER, name)
        store.bring(name, backup.FOLDER)
        print(f"brought from {store.url}: {name}", flush=True)
    elif not is_here:
        known = ", ".join(there[-10:]) or "none"
        raise BackupRefused(
            f"backup {name}: is neither in {backup.FOLDER} nor in {store.url}, which has {known}; name one of these"
        )


def fit(plan: Mapping[str, Any], name: str, key: BackupIdentity, so_far: str) -> tuple[Path, Manifest]:
    bring(plan, name)
    path = chosen(backup.FOLDER, name)
    manifest = read(path)
    problems = list(mismatches(manifest, plan, {HERE: plan["release"]}, versions(plan, manifest)))
    if not problems and key.recipient != manifest.recipient:
        problems = [
            f"secret BACKUP_IDENTITY: is not the one whose public key is {manifest.recipient}; bring that one back"
        ]
    if problems := problems or [*forged(path, key.code), *broken(path, manifest)]:
        raise BackupRefused("\n".join([*problems, *filter(None, [so_far])]))
    return path, manifest


class App:
    """What the API server tells of the release."""

    def __init__(self, plan: Mapping[str, Any], restore: str) -> None:
        self.plan = plan
        self.restore = restore
        self.cluster = Cluster.of_this_pod()

    def ask(self, what: str) -> dict[str, Any]:
        return self.cluster.ask("GET", f"{self.cluster.namespace_url}/{what}", None) or {}

    def pods(self) -> list[str]:
        """Those that have not ended, while the release stands still for this restore."""
        config = self.ask(f"configmaps/{self.plan['config']}")
        if json.loads(config["data"]["plan.json"])["restore"] != self.restore:
            raise BackupRefused(
                f"backup.kubernetes.restore: does not name {self.restore} any more; nothing is restored"
            )
        pods = self.ask(f"pods?labelSelector={quote(self.plan['app_pods'])}")["items"]
        return sorted(
            pod["metadata"]["name"] for pod in pods if pod["status"].get("phase") not in ("Succeeded", "Failed")
        )

    def wait_for_its_end(self) -> None:
        """Workers end their tasks first, which takes their grace at most; the Job's deadline is longer."""
        said: list[str] = []
        while names := self.pods():
            if names != said:
                print(f"waits for the end of {', '.join(names)}", flush=True)
            said = names
            time.sleep(1)


def load_broker(file: Path, key: BackupIdentity) -> None:
    with redis_beside.begin() as plain:
        key.open(file, plain)
    redis_beside.load()


def restore_database(file: Path, key: BackupIdentity) -> None:
    with database_beside.replaced() as database:
        key.open(file, database)
    print("database: is restored", flush=True)


class Restore:
    """Of one backup. `is_begun`: it changed something, or a run before it did, and what is there is of two times."""

    def __init__(self, plan: Mapping[str, Any], name: str) -> None:
        self.plan = plan
        self.key = backup.identity()
        self.is_begun = database_beside.facts().is_marked
        self.path, self.manifest = fit(plan, name, self.key, "" if self.is_begun else UNTOUCHED)
        self.app = App(plan, name)

    @property
    def has_broker(self) -> bool:
        return "broker" in self.manifest.parts

    def file(self, part: str) -> Path:
        return self.path / self.manifest.parts[part].file

    def do(self) -> None:
        if self.has_broker:
            load_broker(self.file("broker"), self.key)
        self.app.wait_for_its_end()
        while not self.has_done():
            self.app.wait_for_its_end()
        print(f"{told(self.path.name)}, is back", flush=True)

    def has_done(self) -> bool:
        """False where the app has come back meanwhile. The mark keeps its pods out: none starts on it, and none has."""
        if not self.is_begun:
            print("what is there:", flush=True)
            backup.make(self.plan)
        try:
            database_beside.mark()
            if self.app.pods():
                return False
            if self.has_broker:
                self.replace_broker()
            restore_database(self.file("database"), self.key)
            self.is_begun = True
        finally:
            if not self.is_begun:
                database_beside.unmark()
        return True

    def replace_broker(self) -> None:
        urls, app = backup.BROKER_URL.read_text(), self.plan["app"]["name"]
        with redis_node.connected(urls, app, to_write=True) as (node, _):
            count = node.prepare(redis_beside.entries())
            self.is_begun = True
            node.replace(has_replicas=self.plan["broker"]["has_replicas"])
        print(f"broker: {count} keys are restored", flush=True)


def main() -> None:
    backup.end_by_sigterm()
    file, name, *options = sys.argv[1:]
    plan = json.loads(Path(file).read_text())
    with backup.in_one_line(), backup.alone():
        if "--fits" in options:
            path, _ = fit(plan, name, backup.identity(), UNCHANGED)
            print(f"{told(path.name)}, may come back", flush=True)
        else:
            Restore(plan, name).do()


if __name__ == "__main__":
    main()
