"""A release on Kubernetes whose pods fail, and who fails them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cluster as clusters
import yaml
from resources.waiting import wait_for

from tests.cluster.desk import NAME as DESK
from tests.cluster.desk import pod_like_a_worker
from tests.cluster.release import BRIEF, Release, is_ready, name_of, new_namespace

DESCRIPTION = Path(__file__).with_name("kubernetes.yml")
SECONDS_UNTIL_WHOLE = 300

Pod = dict[str, Any]


class Pods(Release):
    """A release, and a pod beside it that sends tasks whatever happens to the release."""

    django_pod = DESK

    def __init__(self, cluster: clusters.Cluster, namespace: str, folder: Path) -> None:
        super().__init__(cluster, namespace)
        self.folder = folder
        self.files += (BRIEF, DESCRIPTION)

    def start(self) -> None:
        self.prepare()
        self.install()
        self.apply(json.dumps(pod_like_a_worker(self.get("deployment", "shop-worker-default"))))
        self.wait(f"pod/{DESK}", "condition=Ready")
        self.wait_until_whole()

    def describe(self, changes: Mapping[str, Any]) -> None:
        """Upgrades that follow have these changes too."""
        file = self.folder / f"{len(self.files)}.yml"
        file.write_text(yaml.safe_dump(dict(changes)))
        self.files += (file,)

    @contextmanager
    def begin_upgrade(self) -> Iterator[subprocess.Popen[str]]:
        arguments = ("upgrade", self.name, *self.upgrade_arguments(), "--namespace", self.namespace)
        command, env = self.cluster.command("helm", *arguments), self.cluster.environment
        with subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as helm:
            yield helm

    def state(self) -> str:
        """What Helm calls the release."""
        return str(json.loads(self.helm("status", "--output=json"))["info"]["status"])

    def take_back(self) -> None:
        """The last change of the description, and what it did."""
        self.files = self.files[:-1]
        self.rollback()

    def wait_until_whole(self) -> None:
        wait_for("every pod is there and ready", self.is_whole, SECONDS_UNTIL_WHOLE)

    def is_whole(self) -> bool:
        wanted = sum(one["spec"]["replicas"] for one in self.get("deployments,statefulsets"))
        ready = [pod for pod in self.get("pods") if is_ready(pod) and "deletionTimestamp" not in pod["metadata"]]
        return bool(wanted == sum(name_of(pod) != DESK for pod in ready))


@contextmanager
def deployed() -> Iterator[Pods]:
    cluster = clusters.choose()
    cluster.up()
    with new_namespace(cluster, "faults") as namespace, TemporaryDirectory() as folder:
        pods = Pods(cluster, namespace, Path(folder))
        pods.start()
        yield pods


def on_node(pod: Pod, *command: str) -> str:
    """What root's command says on its node, which is a container of this machine."""
    done = subprocess.run(
        ["docker", "exec", pod["spec"]["nodeName"], *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def status_of(pod: Pod) -> dict[str, Any]:
    """Of its main container."""
    main = pod["spec"]["containers"][0]["name"]
    return next(one for one in pod["status"]["containerStatuses"] if one["name"] == main)


def first_process(pod: Pod) -> str:
    """Of its main container, as the node counts."""
    container = status_of(pod)["containerID"].removeprefix("containerd://")
    tasks = on_node(pod, "ctr", "--namespace=k8s.io", "tasks", "list").splitlines()
    return next(task.split()[1] for task in tasks if task.startswith(container))


def signal_processes(pod: Pod, signal: str, *which: str) -> None:
    """Those of its main container: of inside, none can send the first one these."""
    on_node(pod, "pkill", "--signal", signal, "--ns", first_process(pod), "--nslist", "pid", *which)
