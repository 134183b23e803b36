"""Pods with a shell and Python, for what the stack itself does not ask."""

from __future__ import annotations

import json
import textwrap

from cluster import Cluster


def apply(cluster: Cluster, namespace: str, manifest: str) -> None:
    cluster.kubectl("apply", "--namespace", namespace, "--filename=-", stdin=textwrap.dedent(manifest))


def start_box(cluster: Cluster, namespace: str, name: str, box: str, labels: dict[str, str], script: str) -> None:
    container = {"name": "box", "image": box, "command": ["sh", "-c", script]}
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}
    apply(cluster, namespace, json.dumps(pod))


def until(command: str) -> str:
    """A shell command that goes on until another succeeds: what a cluster is told takes hold some time after."""
    return f"until {command}; do sleep 0.2; done"


def said(cluster: Cluster, namespace: str, pod: str) -> str:
    """What a pod has printed by the time that it ends well."""
    phase = "--for=jsonpath={.status.phase}=Succeeded"
    cluster.kubectl("wait", "--namespace", namespace, phase, f"pod/{pod}", "--timeout=300s")
    return cluster.kubectl("logs", "--namespace", namespace, pod).strip()
