"""A bucket of a server that speaks S3, over TLS by a CA of its own."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import yaml
from images import VALUES
from resources.certificates import Authority

from tests.cluster.external_redis import secret
from tests.cluster.release import Release

NAME = "bucket"
PORT = 7070
KEYS = {"AWS_ACCESS_KEY_ID": "backup", "AWS_SECRET_ACCESS_KEY": "a/b+c"}
IMAGE = "localhost/stalk-bucket:1"


def provide(release: Release) -> dict[str, str]:
    """Starts it in the release's namespace; `backup.kubernetes.s3` that leads to it."""
    subprocess.run(["tools/prepare", "bucket"], check=True, stdout=subprocess.DEVNULL)
    release.cluster.load(IMAGE)
    authority = Authority.new("somebody's CA")
    host = f"{NAME}.{release.namespace}.svc"
    leaf = authority.leaf(host)
    objects = [
        secret(NAME, {**KEYS, "ca.crt": authority.pair.certificate}),
        secret("its-leaf", {"tls.crt": leaf.certificate, "tls.key": leaf.key}),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": NAME},
            "spec": {"selector": {"app": NAME}, "ports": [{"port": PORT}]},
        },
        pod(),
    ]
    release.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    release.wait(f"pod/{NAME}", "condition=Ready")
    return {"url": f"https://{host}:{PORT}/{NAME}/of-the-shop", "secret": NAME}


def pod() -> dict[str, Any]:
    """A bucket is a folder."""
    image = yaml.safe_load(VALUES.read_text())["broker"]["kubernetes"]["image"]
    maker = {
        "name": "make",
        "image": f"{image['repository']}:{image['tag']}",
        "command": ["mkdir", f"/buckets/{NAME}"],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "data", "mountPath": "/buckets"}],
    }
    container = {
        "name": NAME,
        "image": IMAGE,
        "args": [f"--port=:{PORT}", "--cert=/tls/tls.crt", "--key=/tls/tls.key", "posix", "/buckets"],
        "env": [
            {"name": variable, "valueFrom": {"secretKeyRef": {"name": NAME, "key": key}}}
            for variable, key in zip(("ROOT_ACCESS_KEY", "ROOT_SECRET_KEY"), KEYS, strict=True)
        ],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [
            {"name": "tls", "mountPath": "/tls"},
            {"name": "data", "mountPath": "/buckets"},
        ],
    }
    identity = {"runAsUser": 999, "runAsGroup": 999, "fsGroup": 999, "runAsNonRoot": True}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": NAME, "labels": {"app": NAME}},
        "spec": {
            "initContainers": [maker],
            "containers": [container],
            "securityContext": {**identity, "seccompProfile": {"type": "RuntimeDefault"}},
            "volumes": [{"name": "tls", "secret": {"secretName": "its-leaf"}}, {"name": "data", "emptyDir": {}}],
        },
    }
