"""The pods that make Secrets reach the API server and nobody else."""

from __future__ import annotations

import json

from cluster import Cluster

from tests.chart.renders import Object, objects, render
from tests.cluster.boxes import apply, said, start_box, until

PORT = 8000
API_SERVER = "$KUBERNETES_SERVICE_HOST/$KUBERNETES_SERVICE_PORT"


def policy(namespace: str) -> Object:
    (found,) = (
        made
        for made in objects(render("01-defaults", namespace))
        if (made["kind"], made["metadata"]["name"]) == ("NetworkPolicy", "shop-secrets")
    )
    return found


def connect(address: str) -> str:
    """A command that succeeds when `host/port` takes a connection within 2 s."""
    return f"timeout 2 bash -c 'exec 3<>/dev/tcp/{address}'"


def test_they_reach_the_api_server_and_nobody_else(cluster: Cluster, namespace: str, box: str) -> None:
    listen = f"exec python3 -m http.server --directory /tmp {PORT}"
    start_box(cluster, namespace, "listener", box, {}, listen)
    cluster.kubectl("wait", "--namespace", namespace, "--for=condition=Ready", "pod/listener", "--timeout=120s")
    address = cluster.kubectl("get", "pod", "listener", "--namespace", namespace, "--output=jsonpath={.status.podIP}")
    start_box(cluster, namespace, "free", box, {}, until(connect(f"{address}/{PORT}")))
    said(cluster, namespace, "free")

    made = policy(namespace)
    apply(cluster, namespace, json.dumps(made))
    labels = made["spec"]["podSelector"]["matchLabels"]
    # A policy takes hold of a pod some time after it has started.
    tries = f"while {connect(f'{address}/{PORT}')}; do sleep 0.2; done; {until(connect(API_SERVER))}"
    start_box(cluster, namespace, "maker", box, labels, tries)
    said(cluster, namespace, "maker")
