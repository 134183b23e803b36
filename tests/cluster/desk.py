"""A pod beside a release, from which tests send tasks: nothing that happens to the release ends it."""

from __future__ import annotations

import json
import subprocess
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from resources.load import repeated

from tests.cluster.release import Release

NAME = "desk"
SECONDS_BETWEEN_TASKS = 0.5
SEND = """
import json
import sys
import time
import django
django.setup()
import config.celery
from django.db import Error, close_old_connections, connection, transaction
from shop.tasks import record_effect

def connect(until):
    # As Django does between requests.
    close_old_connections()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        if time.monotonic() > until:
            raise
        # A database that has no connection to give cannot tell when it is back.
        time.sleep(0.5)
        connect(until)

print("desk: ready", flush=True)
for line in sys.stdin:
    keys, seconds, options = json.loads(line)
    try:
        connect(time.monotonic() + 180)
        with transaction.atomic():
            for key in keys:
                record_effect.apply_async_on_commit((key, seconds), **options)
        print("desk: sent", flush=True)
    except Error as error:
        print("desk:", repr(str(error)), flush=True)
"""


class SendFailed(Exception):
    """The database took nothing."""


class Desk:
    def __init__(self, release: Release) -> None:
        self.release = release
        self.process: subprocess.Popen[str] | None = None
        self.one_at_a_time = threading.Lock()

    def open(self) -> None:
        self.release.apply(json.dumps(pod_like_a_worker(self.release.get("deployment", "shop-worker-default"))))
        self.release.wait(f"pod/{NAME}", "condition=Ready")
        cluster = self.release.cluster
        command = cluster.command("kubectl", "--namespace", self.release.namespace, "exec", "--stdin", NAME)
        self.process = subprocess.Popen(
            (*command, "--", "python", "-c", SEND),
            env=cluster.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.answer() == "ready"

    def answer(self) -> str:
        """What the process says next itself, and not the app's log."""
        assert self.process
        assert self.process.stdout
        for line in self.process.stdout:
            if line.startswith("desk: "):
                return line.removeprefix("desk: ").strip()
        raise SendFailed("the desk has closed")

    def close(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.communicate()

    def send(self, name: str, count: int, seconds: float = 0, queue: str = "celery", **options: Any) -> list[str]:
        """Sends tasks whose effects the ledger counts, by the outbox, once the database answers; returns their keys."""
        run = uuid.uuid4().hex[:8]
        keys = [f"{name}-{run}-{number}" for number in range(count)]
        with self.one_at_a_time:
            assert self.process
            assert self.process.stdin
            self.process.stdin.write(json.dumps([keys, seconds, {"queue": queue, **options}]) + "\n")
            self.process.stdin.flush()
            answer = self.answer()
        if answer != "sent":
            raise SendFailed(answer)
        return keys

    @contextmanager
    def flow(self, *queues: str) -> Iterator[list[str]]:
        """Sends short tasks to these queues all the time; gives the list of keys, which is whole at the end."""
        keys: list[str] = []

        def send() -> None:
            for queue in queues:
                keys.extend(self.send("flow", 1, 0, queue))

        with repeated(send, SECONDS_BETWEEN_TASKS):
            yield keys
        assert keys


def pod_like_a_worker(deployment: dict[str, Any]) -> dict[str, Any]:
    """With a worker's environment, secrets and network policy; no Deployment counts it as its own."""
    template = deployment["spec"]["template"]
    worn = template["metadata"]["labels"]
    labels = {key: value for key, value in worn.items() if key.startswith("app.kubernetes.io/")}
    spec = template["spec"]
    worker = spec["containers"][0]
    kept: Sequence[str] = ("name", "image", "imagePullPolicy", "env", "envFrom", "volumeMounts", "securityContext")
    container = {key: worker[key] for key in kept if key in worker} | {"command": ["sleep", "infinity"]}
    left_out = ("initContainers", "topologySpreadConstraints", "terminationGracePeriodSeconds")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": NAME, "labels": labels},
        "spec": {key: value for key, value in spec.items() if key not in left_out}
        | {"containers": [container], "terminationGracePeriodSeconds": 0},
    }
