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
    read,
    required,
    told,
)
from ansible_collections.stalk.celery.plugins.module_utils.broker.resp import RedisRefused
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


def fit(plan: Mapping[str, Any], name: str, key: BackupIdentity, so_far: str) -> tuple[Path, Manifest]:
    path = chosen(backup.FOLDER, name)
    manifest = read(path)
    problems = list(mismatches(manifest, plan, {HERE: plan["release"]}, versions(plan, manifest)))
    if not problems and key.recipient != manifest.recipient:
        problems = [
            f"secret BACKUP_IDENTITY: is not the one whose public key is {manifest.recipient}; bring that one back"
        ]
    if problems := problems or [*forged(path, key.code), *broken(path, manifest)]:
        raise BackupRefused("\n".join([*problems, so_far]))
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
        """Workers end their tasks first, which takes their grace at most."""
        said: list[str] = []
        while names := self.pods():
            if names != said:
                print(f"waits for the end of {', '.join(names)}", flush=True)
            said = names
            time.sleep(1)

    def is_kept_out(self, *, was_marked: bool) -> bool:
        """Whether it stands still, and will until the mark is gone: no pod starts on it, and none has."""
        database_beside.mark()
        stands_still = False
        try:
            stands_still = not self.pods()
        finally:
            if not (stands_still or was_marked):
                database_beside.unmark()
        return stands_still


def load_broker(file: Path, key: BackupIdentity) -> None:
    with redis_beside.begin() as plain:
        key.open(file, plain)
    redis_beside.load()


def restore_broker(plan: Mapping[str, Any], *, was_marked: bool) -> None:
    with redis_node.connected(backup.BROKER_URL.read_text(), plan["app"]["name"], to_write=True) as (node, _):
        try:
            count = node.prepare(redis_beside.entries())
        except (RedisRefused, OSError):
            # It keeps what it has, and the app may go on with that.
            if not was_marked:
                database_beside.unmark()
            raise
        node.replace(has_replicas=plan["broker"]["has_replicas"])
    print(f"broker: {count} keys are restored", flush=True)


def restore_database(file: Path, key: BackupIdentity) -> None:
    with database_beside.replaced() as database:
        key.open(file, database)
    print("database: is restored", flush=True)


def restore(plan: Mapping[str, Any], name: str) -> None:
    key = backup.identity()
    path, manifest = fit(plan, name, key, UNTOUCHED)
    if "broker" in manifest.parts:
        load_broker(path / manifest.parts["broker"].file, key)
    # By a run that broke off: what is there is of two times.
    was_marked = database_beside.facts().is_marked
    app = App(plan, name)
    app.wait_for_its_end()
    if not was_marked:
        print("what is there:", flush=True)
        backup.make(plan)
    while not app.is_kept_out(was_marked=was_marked):
        app.wait_for_its_end()
    if "broker" in manifest.parts:
        restore_broker(plan, was_marked=was_marked)
    restore_database(path / manifest.parts["database"].file, key)
    print(f"{told(path.name)}, is back", flush=True)


def main() -> None:
    backup.end_by_sigterm()
    file, name, *options = sys.argv[1:]
    plan = json.loads(Path(file).read_text())
    with backup.in_one_line(), backup.alone():
        if "--fits" in options:
            path, _ = fit(plan, name, backup.identity(), UNCHANGED)
            print(f"{told(path.name)}, may come back", flush=True)
        else:
            restore(plan, name)


if __name__ == "__main__":
    main()
