"""A clock, an authority of our own, and a host's key with its request."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.certificates.authority import Authority, own_authority
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PASSPHRASE = "correct horse"


def passphrase() -> str:
    return PASSPHRASE


@pytest.fixture
def make_authority(tmp_path: Path) -> Callable[..., Authority]:
    def make(folder: str = "pki", now: datetime = NOW) -> Authority:
        authority = own_authority(tmp_path / folder, "shop CA", passphrase, now, make=True)
        assert authority is not None
        return authority

    return make


@pytest.fixture
def authority(make_authority: Callable[..., Authority]) -> Authority:
    return make_authority()


def request_of_new_key(*, sans: tuple[str, ...] = ()) -> x509.CertificateSigningRequest:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    if sans:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(san) for san in sans]), critical=False
        )
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
