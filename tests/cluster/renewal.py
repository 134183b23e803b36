"""Certificates, a CA and passwords of a release that are renewed, as time or its owner would do it."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from resources.waiting import wait_for

from tests.cluster.redis import ask
from tests.cluster.release import Release, name_of

COMPONENTS = ("redis", "postgresql", "web", "beat", "worker", "flower")
SECONDS_UNTIL_A_FILE_IS_FOLLOWED = 180


def processes(release: Release) -> dict[str, tuple[str, int]]:
    """Each pod of the stack, and how often its containers were restarted."""
    pods: list[dict[str, Any]] = [pod for name in COMPONENTS for pod in release.pods(name)]
    return {
        name_of(pod): (pod["metadata"]["uid"], sum(one["restartCount"] for one in pod["status"]["containerStatuses"]))
        for pod in pods
    }


def wait_until_mounted(release: Release, pod: str, leaf: str) -> None:
    wait_for(
        f"{pod} has its new leaf",
        lambda: release.execute(pod, "cat", "/etc/stalk/tls/tls.crt").strip() == leaf.strip(),
        SECONDS_UNTIL_A_FILE_IS_FOLLOWED,
    )


def trust(release: Release) -> str:
    return release.secret("shop-worker-tls")["ca.crt"]


def trusts(release: Release, pod: str, trusted: str) -> bool:
    return release.execute(pod, "cat", "/etc/stalk/tls/ca.crt").strip() == trusted.strip()


def wait_until_trusted(release: Release, trusted: str) -> None:
    """By every pod that mounts it; a server follows within a minute."""
    release.mount_what_changed(*COMPONENTS)
    for pod in processes(release):
        wait_for(
            f"{pod} trusts what the Secrets have",
            partial(trusts, release, pod, trusted),
            SECONDS_UNTIL_A_FILE_IS_FOLLOWED,
        )


def step(release: Release) -> None:
    """The next one of a CA that takes over, as if the one before were an hour ago."""
    then = base64.b64encode((datetime.now(UTC) - timedelta(hours=1)).isoformat().encode()).decode()
    release.kubectl("patch", "secret", "shop-ca", f"--patch={json.dumps({'data': {'spread-at': then}})}")
    release.run_secrets_job()


def password(release: Release) -> str:
    return release.secret("shop-secrets")["REDIS_PASSWORD_worker"]


def forget_passwords(release: Release) -> None:
    """Those of Redis; the next upgrade makes others."""
    names = [name for name in release.secret("shop-secrets") if name.startswith("REDIS_PASSWORD_")]
    removal = [{"op": "remove", "path": f"/data/{name}"} for name in names]
    release.kubectl("patch", "secret", "shop-secrets", "--type=json", f"--patch={json.dumps(removal)}")


def wait_until_taken(release: Release) -> None:
    """By Redis: the password that workers have in the Secret."""
    release.mount_what_changed("redis")
    new = password(release)
    wait_for("Redis takes the new password", lambda: takes(release, new), SECONDS_UNTIL_A_FILE_IS_FOLLOWED)


def takes(release: Release, password: str) -> bool:
    """Whether Redis lets a worker in by it."""
    # redis-cli fails where it is refused.
    ask = "REDISCLI_AUTH=$(cat) redis-cli -s /run/stalk/redis.sock --user worker PING || true"
    return release.execute("shop-redis-0", "sh", "-c", ask, stdin=password).strip() == "PONG"


def cut_connections(release: Release) -> None:
    ask(release, "CLIENT", "KILL", "TYPE", "normal")


def connect_anew(release: Release) -> None:
    cut_connections(release)
    release.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'shop'")
