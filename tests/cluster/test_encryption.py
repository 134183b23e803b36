"""Who may talk to the broker and the database from inside a pod: only holders of a certificate of the stack's CA."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from resources import handshake
from resources.certificates import Authority, Pair

from tests.cluster.release import Release

PORTS = {"redis": 6379, "postgresql": 5432}
FIRST_ANSWERS = {"redis": ["-NOAUTH Authentication required."], "postgresql": ["R"]}
NOBODY = Pair("", "")

every_service = pytest.mark.parametrize("service", ["redis", "postgresql"])


def authority_of(release: Release) -> Authority:
    ca = release.secret("shop-ca")
    key = serialization.load_pem_private_key(ca["tls.key"].encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return Authority(x509.load_pem_x509_certificate(ca["tls.crt"].encode()), key)


def answer_of(release: Release, service: str, pair: Pair | None) -> dict[str, Any]:
    """What a client in a web pod hears from a service that it greets with a certificate, none, or no TLS."""
    tls = pair and {"ca": release.secret("shop-ca")["tls.crt"], **vars(pair)}
    question = {
        "kind": service,
        "host": f"shop-{service}",
        "port": PORTS[service],
        "tls": tls,
        "commands": [["PING"]],
    }
    script = inspect.getsource(handshake)
    said = release.execute("deployment/shop-web", "python", "-c", script, container="web", stdin=json.dumps(question))
    answer: dict[str, Any] = json.loads(said)
    return answer


def is_refused(release: Release, service: str, pair: Pair | None) -> bool:
    """Whether the service closes the connection; its alert may get lost on the way."""
    answer = answer_of(release, service, pair)
    return bool(answer["refused"]) and not answer["replies"]


@every_service
def test_a_certificate_of_the_stack_is_let_in_as_far_as_the_password(standing_release: Release, service: str) -> None:
    answer = answer_of(standing_release, service, authority_of(standing_release).leaf("worker"))
    assert answer == {"refused": None, "replies": FIRST_ANSWERS[service]}


@every_service
def test_no_client_certificate_is_refused(standing_release: Release, service: str) -> None:
    assert is_refused(standing_release, service, NOBODY)


@every_service
def test_a_certificate_of_another_ca_is_refused(standing_release: Release, service: str) -> None:
    assert is_refused(standing_release, service, Authority.new("shop CA").leaf("worker"))


@every_service
def test_plain_text_is_refused(standing_release: Release, service: str) -> None:
    assert is_refused(standing_release, service, None)
