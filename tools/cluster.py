"""`make cluster`: the Kubernetes that the chart's tests and its demo use.

`KUBECONFIG` names it; else `kind` makes it, where it is installed and can pull its image; else one container of this
machine runs the one that `tools/prepare cluster` has built. All of them have DNS, a default StorageClass and KEDA.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from terminal import say

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".cache" / "bin"
OWN_KUBECONFIG = ROOT / "build" / "kubeconfig"
NAME = "stalk-cluster"
NODE_IMAGE = "stalk-node"
KIND_IMAGE = "kindest/node:v1.37.0"
KIND_NAME = "stalk"
LOADED = "/run/loaded-images"
SECONDS_UNTIL_READY = 180
OF_THE_CLUSTER = ("", "keda", "kube-system", "local-path-storage")
ADDED = ("keda-admission", "keda-metrics-apiserver", "keda-operator")

NODE_OPTIONS = (
    *("--cap-add=ALL", "--cap-drop=SYS_RESOURCE", "--device=/dev/kmsg", "--cgroupns=host"),
    *(
        "--security-opt=seccomp=unconfined",
        "--security-opt=apparmor=unconfined",
        "--security-opt=systempaths=unconfined",
    ),
    *("--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw", "--volume=/var/lib/containerd", "--volume=/var/lib/kubelet"),
    *("--tmpfs=/run", "--tmpfs=/tmp", "--tmpfs=/var/lib/etcd"),
)


class ClusterFailed(Exception):
    """A message for the person who wants the cluster."""


def say_loading(images: Sequence[str]) -> None:
    say(f"Loading {' and '.join(images)} into the cluster, about 20 s each")


def run(*command: str, stdin: str | None = None, env: dict[str, str] | None = None) -> str:
    """The output of a command; its errors are the failure's message."""
    try:
        done = subprocess.run(command, input=stdin, env=env, capture_output=True, text=True, check=False)
    except FileNotFoundError as missing:
        raise ClusterFailed(f"{command[0]} is missing; run `make cluster`, which installs it") from missing
    if done.returncode:
        words = " ".join((Path(command[0]).name, *command[1:3]))
        raise ClusterFailed(f"`{words} …` failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def succeeds(*command: str) -> bool:
    return bool(shutil.which(command[0])) and not subprocess.run(command, capture_output=True, check=False).returncode


class Cluster(ABC):
    """A Kubernetes with KEDA, for tests to use."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig

    @abstractmethod
    def up(self) -> None:
        """Makes the cluster unless it is there, and returns when it is ready."""

    @abstractmethod
    def load(self, *images: str) -> None:
        """Makes images of this machine's Docker known to the nodes."""

    def command(self, tool: str, *arguments: str) -> tuple[str, ...]:
        """One of the tools that `tools/prepare chart` builds; with `environment` it speaks to this cluster."""
        return (str(TOOLS / tool), *arguments)

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"KUBECONFIG": str(self.kubeconfig)}

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return run(*self.command("kubectl", *arguments), stdin=stdin, env=self.environment)

    def helm(self, *arguments: str, stdin: str | None = None) -> str:
        return run(*self.command("helm", *arguments), stdin=stdin, env=self.environment)

    def is_up(self) -> bool:
        try:
            self.kubectl("get", "--raw", "/readyz")
        except ClusterFailed:
            return False
        return True

    def wait_until_ready(self) -> None:
        deadline, last = time.monotonic() + SECONDS_UNTIL_READY, [""]
        while time.monotonic() < deadline:
            try:
                answer = self.kubectl("get", "nodes,deployments,apiservices", "--all-namespaces", "--output=json")
            except ClusterFailed:
                missing = ["the API server"]
            else:
                missing = not_ready(json.loads(answer)["items"])
            if not missing:
                return
            if missing != last:
                print(f"    waiting for {', '.join(missing)}", flush=True)
                last = missing
            self.fail_when_ended()
            time.sleep(0.5)
        raise ClusterFailed(f"not ready within {SECONDS_UNTIL_READY} s: {', '.join(last)}")

    def fail_when_ended(self) -> None:
        """Raises when waiting is in vain, where that can be told."""
        return


class GivenCluster(Cluster):
    """The user's own: nothing is installed in it, and its nodes pull images themselves."""

    def up(self) -> None:
        self.kubectl("get", "--raw", "/readyz")

    def load(self, *images: str) -> None:
        print(f"    The nodes have to find {' and '.join(images)} by themselves", flush=True)


class KindCluster(Cluster):
    """Made by kind."""

    def up(self) -> None:
        if KIND_NAME in run("kind", "get", "clusters").split():
            run("kind", "export", "kubeconfig", "--name", KIND_NAME, "--kubeconfig", str(self.kubeconfig))
        else:
            say("Starting Kubernetes with kind")
            arguments = ("--name", KIND_NAME, "--image", KIND_IMAGE, "--kubeconfig", str(self.kubeconfig))
            run("kind", "create", "cluster", *arguments)
        version = keda_version()
        release = f"https://github.com/kedacore/keda/releases/download/v{version}/keda-{version}.yaml"
        self.kubectl("apply", "--server-side", "--filename", release)
        self.wait_until_ready()

    def load(self, *images: str) -> None:
        say_loading(images)
        run("kind", "load", "docker-image", "--name", KIND_NAME, *images)

    def down(self) -> None:
        run("kind", "delete", "cluster", "--name", KIND_NAME)


class ContainerCluster(Cluster):
    """One node in one container, of the image that tools/prepare builds."""

    def up(self) -> None:
        if Path("/sys/fs/cgroup/cgroup.controllers").exists():
            raise ClusterFailed(
                "the cluster in a container wants control groups of version 1, this machine has version 2; "
                "install kind, or let KUBECONFIG name a cluster"
            )
        image = run("docker", "image", "inspect", "--format", "{{.Id}}", NODE_IMAGE).strip()
        if self.inspect("{{.State.Running}} {{.Image}}") != f"true {image}":
            self.down()
            say("Starting Kubernetes in the container " + NAME)
            options = (*NODE_OPTIONS, "--name", NAME, "--hostname", NAME, "--publish", "127.0.0.1::6443")
            run("docker", "run", "--detach", *options, NODE_IMAGE)
        self.write_kubeconfig()
        self.wait_until_ready()

    def inspect(self, template: str) -> str:
        """What Docker says of the container; nothing when there is none."""
        command = ("docker", "container", "inspect", "--format", template, NAME)
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    def fail_when_ended(self) -> None:
        if self.inspect("{{.State.Running}}") != "true":
            log = subprocess.run(("docker", "logs", "--tail", "30", NAME), capture_output=True, text=True, check=False)
            raise ClusterFailed(f"the container {NAME} has ended, it said:\n{log.stdout}{log.stderr}")

    def write_kubeconfig(self) -> None:
        deadline = time.monotonic() + SECONDS_UNTIL_READY
        while not succeeds("docker", "exec", NAME, "test", "-s", "/etc/kubernetes/admin.conf"):
            self.fail_when_ended()
            if time.monotonic() > deadline:
                raise ClusterFailed(
                    f"{NAME} wrote no kubeconfig within {SECONDS_UNTIL_READY} s; see `docker logs {NAME}`"
                )
            time.sleep(0.2)
        inside = run("docker", "exec", NAME, "cat", "/etc/kubernetes/admin.conf")
        port = run("docker", "port", NAME, "6443/tcp").split(":")[-1].strip()
        self.kubeconfig.parent.mkdir(parents=True, exist_ok=True)
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(inside.replace("127.0.0.1:6443", f"127.0.0.1:{port}"))

    def load(self, *images: str) -> None:
        known = dict(line.split() for line in run("docker", "exec", NAME, "cat", LOADED).splitlines())
        ids = {image: run("docker", "image", "inspect", "--format", "{{.Id}}", image).strip() for image in images}
        new = [image for image in ids if known.get(image) != ids[image]]
        if not new:
            return
        say_loading(new)
        with subprocess.Popen(("docker", "save", *new), stdout=subprocess.PIPE) as save:
            importing = ("docker", "exec", "--interactive", NAME, "ctr", "--namespace=k8s.io", "images", "import", "-")
            done = subprocess.run(importing, stdin=save.stdout, capture_output=True, text=True, check=False)
        if save.returncode or done.returncode:
            raise ClusterFailed(f"{', '.join(new)} did not get into {NAME}: {done.stderr.strip()}")
        lines = "".join(f"{image} {ids[image]}\n" for image in new)
        run("docker", "exec", "--interactive", NAME, "tee", "--append", LOADED, stdin=lines)

    def down(self) -> None:
        subprocess.run(("docker", "rm", "--force", "--volumes", NAME), capture_output=True, check=False)


def keda_version() -> str:
    """The version that the node's own image is built of."""
    required = (ROOT / "tools" / "node" / "parts" / "go.mod").read_text()
    return str(re.findall(r"kedacore/keda/v2 v([\d.]+)", required)[0])


def not_ready(items: list[dict[str, Any]]) -> list[str]:
    """What is still missing, of nodes, Deployments and API services. Stacks that somebody installed do not count."""
    names: dict[str, list[str]] = {"Node": [], "Deployment": [], "APIService": []}
    waiting = []
    for item in items:
        kind, name = item["kind"], item["metadata"]["name"]
        if item["metadata"].get("namespace", "") not in OF_THE_CLUSTER:
            continue
        names[kind].append(name)
        wanted = "Ready" if kind == "Node" else "Available"
        conditions = {one["type"]: one["status"] for one in item.get("status", {}).get("conditions", [])}
        if conditions.get(wanted) != "True":
            waiting.append(name)
    absent = [] if names["Node"] else ["a node"]
    return absent + [name for name in ADDED if name not in names["Deployment"]] + waiting


def choose() -> Cluster:
    """The cluster that tests use on this machine; it may have to be made by its `up`."""
    given = os.environ.get("KUBECONFIG")
    if given and Path(given).resolve() != OWN_KUBECONFIG:
        return GivenCluster(Path(given))
    if shutil.which("kind") and has_kind_image():
        return KindCluster(OWN_KUBECONFIG)
    return ContainerCluster(OWN_KUBECONFIG)


def has_kind_image() -> bool:
    return succeeds("docker", "image", "inspect", KIND_IMAGE) or succeeds("docker", "pull", "--quiet", KIND_IMAGE)


def up() -> None:
    cluster = choose()
    started = time.monotonic()
    cluster.up()
    say(f"Kubernetes is ready, after {time.monotonic() - started:.0f} s")
    print(f"""
    Use    export KUBECONFIG={cluster.kubeconfig} PATH={TOOLS}:$PATH; kubectl get pods --all-namespaces
    Stop   make cluster-down""")


def down() -> None:
    say("Removing the cluster")
    if shutil.which("kind"):
        KindCluster(OWN_KUBECONFIG).down()
    if shutil.which("docker"):
        ContainerCluster(OWN_KUBECONFIG).down()
    OWN_KUBECONFIG.unlink(missing_ok=True)


def which() -> None:
    print(type(choose()).__name__)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "action", choices=["up", "down", "which"], help="which: print the class of cluster that is used"
    )
    action = parser.parse_args().action
    try:
        {"up": up, "down": down, "which": which}[action]()
    except ClusterFailed as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
