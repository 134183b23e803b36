"""A Redis that somebody else provides: mutual TLS by a CA of its own, one user, no database but the first."""

from __future__ import annotations

import json
from typing import Any

import yaml
from images import VALUES
from resources.certificates import Authority

from tests.cluster.release import Release

NAME = "provided"
PORT = 6390
PASSWORD = "a/b@c"
CHANNELS = "&shop:* &shop:/0.celery.pidbox &shop:/0.celeryev/* &shop:/0.celeryev/worker.*"
RIGHTS = f"on >{PASSWORD} ~shop:* {CHANNELS} +@all -@admin -@dangerous"
ACL = f"user default off\nuser guest {RIGHTS}\nuser poor {RIGHTS} -brpop\n"
START = (
    f"redis-server --port 0 --tls-port {PORT} --bind '*' --protected-mode no --databases 1 --dir /tmp"
    " --tls-cert-file /tls/tls.crt --tls-key-file /tls/tls.key --tls-ca-cert-file /tls/ca.crt"
    " --aclfile /tls/users.acl --maxmemory-policy noeviction"
)
VALUES_FOR_IT: dict[str, Any] = {
    "kind": "external",
    "kubernetes": {"existingSecret": {"name": "address"}, "ca": "its-ca", "certificate": "our-leaf"},
}


def provide(release: Release) -> None:
    """Starts it in the release's namespace, and makes the Secrets that VALUES_FOR_IT names."""
    authority = Authority.new("somebody's CA")
    host = f"{NAME}.{release.namespace}.svc"
    server, client = authority.leaf(host), authority.leaf("shop")
    trust = {"ca.crt": authority.pair.certificate}
    objects = [
        secret(NAME, {**trust, "tls.crt": server.certificate, "tls.key": server.key, "users.acl": ACL}),
        secret("its-ca", trust),
        secret("strangers-ca", {"ca.crt": Authority.new("stranger").pair.certificate}),
        secret("poor-address", {"CELERY_BROKER_URL": f"rediss://poor:a%2Fb%40c@{host}:{PORT}/0"}),
        secret("wrong-address", {"CELERY_BROKER_URL": f"rediss://guest:wrong@{host}:{PORT}/0"}),
        secret("no-address", {"CELERY_BROKER_URL": f"rediss://guest:a%2Fb%40c@{host}:{PORT + 1}/0"}),
        secret("our-leaf", {"tls.crt": client.certificate, "tls.key": client.key}),
        secret("address", {"CELERY_BROKER_URL": f"rediss://guest:a%2Fb%40c@{host}:{PORT}/0"}),
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


def secret(name: str, data: dict[str, str]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def pod() -> dict[str, Any]:
    image = yaml.safe_load(VALUES.read_text())["broker"]["kubernetes"]["image"]
    container = {
        "name": "redis",
        "image": f"{image['repository']}:{image['tag']}",
        "command": ["sh", "-c", f"exec {START}"],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "tls", "mountPath": "/tls"}],
    }
    identity = {"runAsUser": 999, "runAsGroup": 999, "fsGroup": 999, "runAsNonRoot": True}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": NAME, "labels": {"app": NAME}},
        "spec": {
            "containers": [container],
            "securityContext": {**identity, "seccompProfile": {"type": "RuntimeDefault"}},
            "volumes": [{"name": "tls", "secret": {"secretName": NAME}}],
        },
    }
