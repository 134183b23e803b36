"""A release of helm/stalk in a namespace."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import images
import yaml
from cluster import Cluster
from storefront import Shop

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "helm" / "stalk"
STACK = ROOT / "stack.yml"
TIMEOUT = "10m"
RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"


class ChartRelease:
    """The stack of stack.yml, with the images of this machine."""

    name = "shop"

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.files: tuple[Path, ...] = (STACK, images.VALUES)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.cluster.kubectl("--namespace", self.namespace, *arguments, stdin=stdin)

    def helm(self, command: str, *arguments: str, stdin: str | None = None) -> str:
        return self.cluster.helm(command, self.name, *arguments, "--namespace", self.namespace, stdin=stdin)

    def upgrade(
        self, values: Mapping[str, Any] | None = None, *options: str, wait: bool = True, chart: Path = CHART
    ) -> None:
        """Installs, or upgrades to, the description with `values` over it. The last option of a name counts."""
        described = yaml.safe_dump(dict(values or {}))
        self.helm("upgrade", *self.upgrade_arguments(*options, wait=wait, chart=chart), stdin=described)

    install = upgrade

    def upgrade_arguments(self, *options: str, wait: bool = True, chart: Path = CHART) -> tuple[str, ...]:
        """Reads the last of its values from the standard input."""
        waiting = ("--wait", "--timeout", TIMEOUT) if wait else ()
        return "--install", str(chart), *self.values_files(), *waiting, *options

    def template(self, values: Mapping[str, Any] | None = None, *arguments: str) -> str:
        described = yaml.safe_dump(dict(values or {}))
        return self.helm("template", str(CHART), *self.values_files(), *arguments, stdin=described)

    def values_files(self) -> tuple[str, ...]:
        """The last of them is the standard input."""
        return (*(f"--values={path}" for path in self.files), "--values=-")

    def get(self, *arguments: str) -> Any:
        """Objects as `kubectl get` gives them: one, or the `items` of many."""
        found = json.loads(self.kubectl("get", *arguments, "--output=json"))
        return found["items"] if found["kind"] == "List" else found

    def secret(self, name: str) -> dict[str, str]:
        return {key: base64.b64decode(value).decode() for key, value in self.get("secret", name)["data"].items()}

    @property
    def host(self) -> str:
        return str(yaml.safe_load(STACK.read_text())["web"]["host"])

    @contextmanager
    def shop(self) -> Iterator[Shop]:
        """The site, through its Service; the certificate is checked against the stack's CA."""
        service = f"{self.name}-web"
        with tempfile.TemporaryDirectory() as folder, self.forwarded(f"service/{service}", "https") as port:
            ca = Path(folder) / "ca.crt"
            ca.write_text(self.secret(f"{service}-tls")["ca.crt"])
            yield Shop(self.host, ca, "127.0.0.1", port)

    @contextmanager
    def forwarded(self, what: str, port: str) -> Iterator[int]:
        """A port of this machine that leads to one of a pod; a Service's is that of the first pod behind it."""
        command = self.cluster.command("kubectl", "--namespace", self.namespace, "port-forward", what, f":{port}")
        with subprocess.Popen(command, env=self.cluster.environment, stdout=subprocess.PIPE, text=True) as forward:
            try:
                said = forward.stdout.readline() if forward.stdout else ""
                found = re.search(r":(\d+) ->", said)
                assert found, f"`kubectl port-forward {what}` said: {said or 'nothing'}"
                yield int(found[1])
            finally:
                forward.terminate()
