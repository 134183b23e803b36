"""Greets the broker and the database from inside a pod, with a certificate, without one or without TLS."""

from __future__ import annotations

import inspect
import json
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from resources import handshake
from resources.certificates import Authority, Pair

from tests.cluster.release import Release

PORTS = {"redis": 6379, "rabbitmq": 5671, "https": 15671, "distribution": 25671, "postgresql": 5432}
HOSTS = {"https": "shop-rabbitmq", "distribution": "shop-rabbitmq-node-0.shop-rabbitmq-nodes.{namespace}.svc"}
NOBODY = Pair("", "")


def authority_of(release: Release) -> Authority:
    ca = release.secret("shop-ca")
    key = serialization.load_pem_private_key(ca["tls.key"].encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return Authority(x509.load_pem_x509_certificate(ca["tls.crt"].encode()), key)


def answer_of(
    release: Release,
    service: str,
    pair: Pair | None,
    host: str = "",
    port: int = 0,
    pod: str = "deployment/shop-web",
) -> dict[str, Any]:
    """What a client in a pod hears from a service that it greets with a certificate, none, or no TLS."""
    tls = pair and {"ca": release.secret("shop-ca")["tls.crt"], **vars(pair)}
    question = {
        "kind": service,
        "host": host or HOSTS.get(service, f"shop-{service}").format(namespace=release.namespace),
        "port": port or PORTS[service],
        "tls": tls,
        "commands": [["PING"]],
    }
    script = inspect.getsource(handshake)
    container = "web" if pod == "deployment/shop-web" else ""
    said = release.execute(pod, "python", "-c", script, container=container, stdin=json.dumps(question))
    answer: dict[str, Any] = json.loads(said)
    return answer


def is_refused(release: Release, service: str, pair: Pair | None, pod: str = "deployment/shop-web") -> bool:
    """Whether the service closes the connection; its alert may get lost on the way."""
    answer = answer_of(release, service, pair, pod=pod)
    return bool(answer["refused"]) and not answer["replies"]
