"""A release of the chart in a namespace of its own, and what tests ask of it."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import tempfile
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cluster as clusters
import images
import yaml
from resources.effects import Effects
from storefront import Shop

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "stalk"
VALUES = (ROOT / "stack.yml", Path(__file__).with_name("small.yml"), images.VALUES)
BRIEF = Path(__file__).with_name("brief.yml")
TIMEOUT = "300s"


class Release(Effects):
    """stack.yml in a small size, with the images of this machine and the values that a test gives."""

    name = "shop"

    def __init__(self, cluster: clusters.Cluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.files: tuple[Path, ...] = VALUES

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.cluster.kubectl("--namespace", self.namespace, *arguments, stdin=stdin)

    def apply(self, manifest: str) -> str:
        return self.kubectl("apply", "--filename=-", stdin=textwrap.dedent(manifest))

    def get(self, *arguments: str) -> Any:
        """Objects as `kubectl get` gives them: one, or the `items` of many."""
        found = json.loads(self.kubectl("get", *arguments, "--output=json"))
        return found["items"] if found["kind"] == "List" else found

    def secret(self, name: str) -> dict[str, str]:
        return {key: base64.b64decode(value).decode() for key, value in self.get("secret", name)["data"].items()}

    def helm(self, command: str, *arguments: str, stdin: str | None = None) -> str:
        return self.cluster.helm(command, self.name, *arguments, "--namespace", self.namespace, stdin=stdin)

    def values_files(self) -> tuple[str, ...]:
        """The last of them is the standard input."""
        return (*(f"--values={path}" for path in self.files), "--values=-")

    def upgrade(
        self, values: Mapping[str, Any] | None = None, *options: str, wait: bool = True, chart: Path = CHART
    ) -> None:
        """Installs, or upgrades to, the description with `values` over it. The last option of a name counts."""
        waiting = ("--wait", "--timeout", TIMEOUT) if wait else ()
        described = yaml.safe_dump(dict(values or {}))
        self.helm("upgrade", "--install", str(chart), *self.values_files(), *waiting, *options, stdin=described)

    install = upgrade

    def template(self, values: Mapping[str, Any] | None = None, *arguments: str) -> str:
        described = yaml.safe_dump(dict(values or {}))
        return self.helm("template", str(CHART), *self.values_files(), *arguments, stdin=described)

    def rollback(self, revision: int = 0) -> None:
        """To a revision; 0 is the one before."""
        self.helm("rollback", str(revision), "--wait", "--timeout", TIMEOUT)

    def uninstall(self) -> None:
        self.helm("uninstall", "--wait", "--timeout", TIMEOUT)

    def wait(self, what: str, condition: str, seconds: int = 120) -> None:
        """wait("pods", "condition=Ready")"""
        self.kubectl("wait", what, f"--for={condition}", f"--timeout={seconds}s")

    def pods(self, component: str, pool: str = "") -> list[dict[str, Any]]:
        """Those of a component, or of a pool of workers, that nobody has asked to end."""
        selector = f"app.kubernetes.io/component={component}" + (f",stalk.celery/pool={pool}" if pool else "")
        found = self.get("pods", "--selector", selector)
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

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
        return self.execute("deployment/shop-web", "python", "-", container="web", stdin=script)

    def sql(self, query: str) -> list[list[str]]:
        psql = ("psql", "--host=/run/stalk", "--username=postgres", "--dbname=shop", "-qAtX", "-F", "\t", "-c", query)
        return [line.split("\t") for line in self.execute("shop-postgresql-0", *psql).splitlines()]

    @contextmanager
    def shop(self) -> Iterator[Shop]:
        """The site, through the Service of the pod that it reaches first; the certificate is checked."""
        with tempfile.TemporaryDirectory() as folder, self.forwarded("service/shop-web", "https") as port:
            ca = Path(folder) / "ca.crt"
            ca.write_text(self.secret("shop-web-tls")["ca.crt"])
            yield Shop("shop.localhost", ca, "127.0.0.1", port)

    @contextmanager
    def forwarded(self, what: str, port: str) -> Iterator[int]:
        """A port of this machine that leads to one of the cluster."""
        command = (str(clusters.TOOLS / "kubectl"), "--namespace", self.namespace, "port-forward", what, f":{port}")
        environment = os.environ | {"KUBECONFIG": str(self.cluster.kubeconfig)}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as forward:
            try:
                assert forward.stdout
                said = forward.stdout.readline()
                found = re.search(r":(\d+) ->", said)
                assert found, f"kubectl port-forward {what}: {said}"
                yield int(found[1])
            finally:
                forward.terminate()


def name_of(pod: dict[str, Any]) -> str:
    return str(pod["metadata"]["name"])


def is_ready(pod: dict[str, Any]) -> bool:
    conditions = {one["type"]: one["status"] for one in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True"
