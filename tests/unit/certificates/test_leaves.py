from __future__ import annotations

import ipaddress
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.certificates.authority import Authority
from ansible_collections.stalk.celery.plugins.module_utils.certificates.leaves import (
    Leaf,
    Validity,
    describe,
    expiry,
    read_leaf,
    read_request,
    sign,
    why_renew,
)
from ansible_collections.stalk.celery.plugins.module_utils.certificates.refusal import CertificateRefusal
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from .conftest import NOW, request_of_new_key

LEAF = Leaf("redis", frozenset({"data1", "10.0.0.5", "localhost"}), frozenset({"server"}))
VALIDITY = Validity(timedelta(days=365), timedelta(days=30))


@pytest.fixture
def request_() -> x509.CertificateSigningRequest:
    return request_of_new_key(sans=("evil.example.org",))


@pytest.fixture
def signed(authority: Authority, request_: x509.CertificateSigningRequest) -> str:
    return sign(LEAF, request_, authority, authority.signing_key(), VALIDITY, NOW)


def test_leaf_carries_what_strict_clients_ask_for(signed: str, authority: Authority) -> None:
    certificate = x509.load_pem_x509_certificate(signed.encode())
    extensions = certificate.extensions
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    key_of_issuer = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    assert (
        extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        == key_of_issuer.key_identifier
    )
    assert certificate.not_valid_before_utc == NOW - timedelta(minutes=5)
    assert certificate.not_valid_after_utc == NOW + VALIDITY.lifetime


def test_openssl_accepts_the_leaf_strictly_for_its_purpose_alone(
    signed: str, authority: Authority, tmp_path: Path
) -> None:
    leaf = tmp_path / "leaf.crt"
    leaf.write_text(signed)
    verify = ["openssl", "verify", "-x509_strict", "-attime", str(int(NOW.timestamp())), "-CAfile"]
    command = [*verify, str(authority.certificate_path), "-purpose"]
    assert subprocess.run([*command, "sslserver", str(leaf)], capture_output=True).returncode == 0
    assert subprocess.run([*command, "sslclient", str(leaf)], capture_output=True).returncode != 0


def test_names_come_from_the_playbook_and_not_from_the_request(signed: str) -> None:
    names = x509.load_pem_x509_certificate(signed.encode()).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert names.value.get_values_for_type(x509.DNSName) == ["data1", "localhost"]
    assert names.value.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("10.0.0.5")]


def test_leaf_does_not_outlive_its_authority_nor_is_renewed_in_vain(
    authority: Authority, request_: x509.CertificateSigningRequest
) -> None:
    late = authority.certificate.not_valid_after_utc - timedelta(days=10)
    certificate = sign(LEAF, request_, authority, authority.signing_key(), VALIDITY, late)
    end = x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc
    assert end == authority.certificate.not_valid_after_utc
    assert why_renew(LEAF, certificate, request_, authority, VALIDITY, late + timedelta(days=1)) is None


def test_certificate_that_serves_is_kept(
    signed: str, authority: Authority, request_: x509.CertificateSigningRequest
) -> None:
    assert why_renew(LEAF, signed, request_, authority, VALIDITY, NOW + timedelta(days=334)) is None


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (replace(LEAF, sans=LEAF.sans | {"data2"}), "has other names"),
        (replace(LEAF, sans=LEAF.sans - {"data1"}), "has other names"),
        (replace(LEAF, usages=frozenset({"server", "client"})), "has other usages"),
    ],
)
def test_changed_leaf_is_renewed(
    signed: str, authority: Authority, request_: x509.CertificateSigningRequest, wanted: Leaf, reason: str
) -> None:
    assert why_renew(wanted, signed, request_, authority, VALIDITY, NOW) == reason


@pytest.mark.parametrize("held", [None, "", "garbage"])
def test_missing_certificate_is_renewed(
    authority: Authority, request_: x509.CertificateSigningRequest, held: str | None
) -> None:
    assert why_renew(LEAF, held, request_, authority, VALIDITY, NOW) == "is missing"


def test_certificate_of_another_key_is_renewed(signed: str, authority: Authority) -> None:
    assert why_renew(LEAF, signed, request_of_new_key(), authority, VALIDITY, NOW) == "is of another key"


def test_certificate_of_another_authority_with_the_same_name_is_renewed(
    signed: str, request_: x509.CertificateSigningRequest, make_authority: Callable[..., Authority]
) -> None:
    assert why_renew(LEAF, signed, request_, make_authority("other"), VALIDITY, NOW) == "is of another CA"


def test_certificate_with_another_chain_behind_it_is_renewed(
    signed: str, authority: Authority, request_: x509.CertificateSigningRequest
) -> None:
    longer = signed + authority.trust
    assert why_renew(LEAF, longer, request_, authority, VALIDITY, NOW) == "comes with another chain"


def test_certificate_is_renewed_before_it_expires(
    signed: str, authority: Authority, request_: x509.CertificateSigningRequest
) -> None:
    later = NOW + timedelta(days=336)
    assert why_renew(LEAF, signed, request_, authority, VALIDITY, later) == "expires on 2027-03-01"


def test_check_mode_tells_what_a_fresh_host_lacks(signed: str, request_: x509.CertificateSigningRequest) -> None:
    assert why_renew(LEAF, None, None, None, VALIDITY, NOW) == "is missing"
    assert why_renew(LEAF, signed, None, None, VALIDITY, NOW) == "has no key"
    assert why_renew(LEAF, signed, request_, None, VALIDITY, NOW) == "has no CA"


def test_diff_shows_names_and_no_key(signed: str) -> None:
    assert "names: 10.0.0.5, data1, localhost\nusages: server\nexpires: 2027-03-01T12:00:00Z\n" in describe(signed)
    assert describe(None) == ""
    assert expiry("garbage") is None


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        ({"name": "web", "sans": ["a"], "usages": ["sign"]}, "leaf 'web': 'sign' is no usage; use server or client"),
        ({"name": "web", "sans": [], "usages": ["server"]}, "leaf 'web': it has no name; give at least one in sans"),
    ],
)
def test_senseless_leaf_is_refused(asked: dict[str, object], refusal: str) -> None:
    with pytest.raises(CertificateRefusal) as refused:
        read_leaf(asked)
    assert str(refused.value) == refusal


def test_name_in_unicode_is_refused_with_its_remedy(
    authority: Authority, request_: x509.CertificateSigningRequest
) -> None:
    leaf = replace(LEAF, sans=frozenset({"bücher.example.org"}))
    with pytest.raises(CertificateRefusal, match="write it in its xn-- form"):
        sign(leaf, request_, authority, authority.signing_key(), VALIDITY, NOW)


def test_request_that_its_key_did_not_sign_is_refused() -> None:
    whole = bytearray(request_of_new_key().public_bytes(serialization.Encoding.DER))
    whole[-1] ^= 1
    forged = x509.load_der_x509_csr(bytes(whole)).public_bytes(serialization.Encoding.PEM).decode()
    with pytest.raises(CertificateRefusal, match="is not signed by its key"):
        read_request("web", forged)


def test_request_that_is_none_is_refused() -> None:
    with pytest.raises(CertificateRefusal, match="leaf 'web': the host's request cannot be read"):
        read_request("web", "hello")
