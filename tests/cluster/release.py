"""A release of the chart that tests install, change and ask."""

from __future__ import annotations

import json
import textwrap
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import cluster as clusters
import images
from chart_release import RESTRICTED, TIMEOUT, ChartRelease
from resources.cell import cell_of
from resources.effects import Effects
from resources.waiting import wait_for

SMALL = Path(__file__).with_name("small.yml")
BRIEF = Path(__file__).with_name("brief.yml")


class Release(ChartRelease, Effects):
    """stack.yml in a small size, with the images of this machine and the values that a test gives."""

    django_pod = "deployment/shop-web"

    def __init__(self, cluster: clusters.Cluster, namespace: str) -> None:
        super().__init__(cluster, namespace)
        self.files += (SMALL,)

    def prepare(self) -> None:
        """The nodes have its images, and its namespace enforces Pod Security `restricted`."""
        self.cluster.load(*images.names())
        self.cluster.kubectl("label", "namespace", self.namespace, RESTRICTED)

    @cached_property
    def cell(self) -> str:
        described = self.cluster.helm(
            "get", "values", self.name, "--all", "--output=json", "--namespace", self.namespace
        )
        # `kubectl version` fails of a client that was built without one.
        server = json.loads(self.kubectl("get", "--raw", "/version"))["gitVersion"]
        return cell_of(json.loads(described)["broker"], f"Kubernetes {server.lstrip('v')}", self.ask_broker)

    def ask_broker(self, line: str) -> str:
        """What a line of shell prints in the broker's first pod."""
        (pod, *_) = self.pods("redis") or self.pods("rabbitmq")
        return self.execute(name_of(pod), "sh", "-c", line)

    def apply(self, manifest: str) -> str:
        return self.kubectl("apply", "--filename=-", stdin=textwrap.dedent(manifest))

    def rollback(self, revision: int = 0) -> None:
        """To a revision; 0 is the one before."""
        self.helm("rollback", str(revision), "--wait", "--timeout", TIMEOUT)

    def uninstall(self) -> None:
        self.helm("uninstall", "--wait", "--timeout", TIMEOUT)

    def wait(self, what: str, condition: str, seconds: int = 120) -> None:
        """wait("pods", "condition=Ready")"""
        self.kubectl("wait", what, f"--for={condition}", f"--timeout={seconds}s")

    def leaf(self, component: str) -> str:
        """Its certificate."""
        return self.secret(f"shop-{component}-tls")["tls.crt"]

    def renew_leaves(self, *components: str) -> None:
        """Has the chart issue their certificates again, and the pods mount them."""
        old = [self.leaf(component) for component in components]
        self.kubectl("delete", "secret", *(f"shop-{component}-tls" for component in components))
        self.run_secrets_job()
        assert not {*old} & {self.leaf(component) for component in components}
        self.mount_what_changed(*components)

    def run_secrets_job(self) -> None:
        """Does what the CronJob does when it is due."""
        job = f"renewal-{uuid.uuid4().hex[:6]}"
        self.kubectl("create", "job", "--from=cronjob/shop-secrets", job)
        self.wait(f"job/{job}", "condition=Complete", seconds=300)

    def mount_what_changed(self, *components: str) -> None:
        """The kubelet looks at the Secrets of a pod that changed at once, of others within a minute or two."""
        chosen = f"--selector=app.kubernetes.io/component in ({', '.join(components)})"
        self.kubectl("annotate", "pods", chosen, "--overwrite", f"looked-at={uuid.uuid4().hex}")

    def pods(self, component: str, pool: str = "") -> list[dict[str, Any]]:
        """Those of a component, or of a pool of workers, that nobody has asked to end."""
        return [pod for pod in self._pods(component, pool) if "deletionTimestamp" not in pod["metadata"]]

    def leaving_pods(self, component: str, pool: str = "") -> list[dict[str, Any]]:
        return [pod for pod in self._pods(component, pool) if "deletionTimestamp" in pod["metadata"]]

    def _pods(self, component: str, pool: str) -> list[dict[str, Any]]:
        selector = f"app.kubernetes.io/component={component}" + (f",stalk.celery/pool={pool}" if pool else "")
        found: list[dict[str, Any]] = self.get("pods", "--selector", selector)
        return found

    def uids(self, component: str) -> dict[str, str]:
        """Of each pod of a component that nobody has asked to end, by its name."""
        return {name_of(pod): pod["metadata"]["uid"] for pod in self.pods(component)}

    def kill_node(self, component: str, pod: str) -> None:
        """A pod of a StatefulSet, without a word; another has its name then."""
        before = self.uids(component)[pod]
        self.kubectl("delete", "pod", pod, "--grace-period=0", "--force")
        wait_for("there is another pod", lambda: self.uids(component).get(pod, before) != before)

    def restart_nodes(self, component: str, seconds: float) -> None:
        """Each pod of a StatefulSet of nodes, one after another."""
        before, nodes = self.uids(component), f"statefulset/shop-{component}-node"
        self.kubectl("rollout", "restart", nodes)
        self.kubectl("rollout", "status", nodes, f"--timeout={seconds}s")
        assert not set(before.values()) & set(self.uids(component).values())

    def running_pods(self) -> dict[str, str]:
        """The uid of each pod that is to stay, with its component; those of Jobs are not."""
        return {
            pod["metadata"]["uid"]: pod["metadata"]["labels"].get("app.kubernetes.io/component", "")
            for pod in self.get("pods")
            if "deletionTimestamp" not in pod["metadata"] and pod["status"]["phase"] == "Running"
        }

    def shorten_lull(self, pool: str = "default", **spec: Any) -> None:
        """Lets KEDA take workers of a pool away after a lull of no time, one a second; a test's need not be as long as
        the chart's. `spec` are further fields of its ScaledObject."""
        one_a_second = {"type": "Pods", "value": 1, "periodSeconds": 1}
        behavior = {"scaleDown": {"stabilizationWindowSeconds": 0, "policies": [one_a_second]}}
        change = {"spec": {**spec, "advanced": {"horizontalPodAutoscalerConfig": {"behavior": behavior}}}}
        self.kubectl("patch", "scaledobject", f"shop-worker-{pool}", "--type=merge", f"--patch={json.dumps(change)}")

    def evict(self, pod: str) -> None:
        """As a drain of its node does it: refused where a budget forbids it."""
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/eviction"
        self.kubectl("create", "--raw", path, "--filename=-", stdin=json.dumps(eviction))

    def execute(self, pod: str, *command: str, container: str = "", stdin: str | None = None) -> str:
        """Runs a command in a pod, or in one of `deployment/shop-web`."""
        where = ("--container", container) if container else ()
        return self.kubectl("exec", "--stdin", pod, *where, "--", *command, stdin=stdin)

    def django(self, code: str) -> str:
        script = f"import django\ndjango.setup()\n{code}\n"
        return self.execute(self.django_pod, "python", "-", stdin=script)

    def touch(self, path: str) -> None:
        self.execute(self.django_pod, "touch", path)

    def sql(self, query: str) -> list[list[str]]:
        psql = ("psql", "--host=/run/stalk", "--username=postgres", "--dbname=shop", "-qAtX", "-F", "\t", "-c", query)
        return [line.split("\t") for line in self.execute("shop-postgresql-0", *psql).splitlines()]


@contextmanager
def new_namespace(cluster: clusters.Cluster, title: str) -> Iterator[str]:
    name = f"{title}-{uuid.uuid4().hex[:6]}"
    cluster.kubectl("create", "namespace", name)
    try:
        yield name
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=false")


def name_of(pod: dict[str, Any]) -> str:
    return str(pod["metadata"]["name"])


def is_ready(pod: dict[str, Any]) -> bool:
    conditions = {one["type"]: one["status"] for one in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True"
