"""restore.py PLAN [BACKUP]: puts the backup that the plan names into the place of what broker and database have. It
runs in a pod, once nothing of the app does any more, and makes a backup of that before. With BACKUP it only tells
whether that one may come back."""

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
    told,
)
from kubernetes_secrets import Cluster, Refused

RUN = Path("/run/stalk")
# Where the container beside looks for what it shall serve.
RDB, SOCKET = RUN / "broker.rdb", RUN / "redis.sock"


def speaks_against(path: Path, manifest: Manifest, plan: Mapping[str, Any], key: BackupIdentity) -> list[str]:
    problems = list(mismatches(manifest, plan, {"the cluster": plan["release"]}, {}))
    if not problems and key.recipient != manifest.recipient:
        problems = [
            f"secret BACKUP_IDENTITY: is not the one whose public key is {manifest.recipient}; bring that one back"
        ]
    return problems or [*forged(path, key.code), *broken(path, manifest)]


def wait_until_nothing_runs(plan: Mapping[str, Any]) -> None:
    """Workers end their tasks first, which takes their grace at most."""
    cluster = Cluster.of_this_pod()
    url = f"{cluster.namespace_url}/pods?labelSelector={quote(plan['app_pods'])}"
    said: list[str] = []
    while names := sorted(
        pod["metadata"]["name"]
        for pod in (cluster.ask("GET", url, None) or {})["items"]
        if pod["status"].get("phase") not in ("Succeeded", "Failed")
    ):
        if names != said:
            print(f"waits for the end of {', '.join(names)}", flush=True)
        said = names
        time.sleep(1)


def restore_broker(plan: Mapping[str, Any], file: Path, key: BackupIdentity) -> None:
    with RDB.with_suffix(".new").open("xb") as plain:
        key.open(file, plain)
    RDB.with_suffix(".new").rename(RDB)
    while not SOCKET.exists():
        time.sleep(0.1)
    with redis_node.connected(backup.BROKER_URL.read_text(), plan["app"]["name"], to_write=True) as (node, _):
        count = node.replace(redis_node.entries(str(SOCKET)))
    print(f"broker: {count} keys are restored", flush=True)


def restore_database(file: Path, key: BackupIdentity) -> None:
    with database_beside.replaced() as database:
        key.open(file, database)
    print("database: is restored", flush=True)


def fit(plan: Mapping[str, Any], name: str, key: BackupIdentity) -> tuple[Path, Manifest]:
    path = chosen(backup.FOLDER, name)
    manifest = read(path)
    if problems := speaks_against(path, manifest, plan, key):
        raise BackupRefused("\n".join([*problems, "Nothing was changed."]))
    return path, manifest


def restore(plan: Mapping[str, Any]) -> None:
    key = backup.identity()
    path, manifest = fit(plan, plan["restore"], key)
    wait_until_nothing_runs(plan)
    print("what is there:", flush=True)
    backup.make(plan)
    database_beside.mark()
    if "broker" in manifest.parts:
        restore_broker(plan, path / manifest.parts["broker"].file, key)
    restore_database(path / manifest.parts["database"].file, key)
    print(f"{told(path.name)}, is back", flush=True)


def main() -> None:
    plan, named = json.loads(Path(sys.argv[1]).read_text()), sys.argv[2:]
    with backup.in_one_line(), backup.alone():
        try:
            if named:
                path, _ = fit(plan, named[0], backup.identity())
                print(f"{told(path.name)}, may come back", flush=True)
            else:
                restore(plan)
        except Refused as refused:
            raise OSError(refused) from None


if __name__ == "__main__":
    main()
