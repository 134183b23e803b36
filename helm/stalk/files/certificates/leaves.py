"""Leaf certificates: which ones a host lacks, and what the authority signs."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.certificates.authority import (
    BACKDATE,
    LEAF_KEY_USAGE,
    Authority,
    SigningKey,
)
from ansible_collections.stalk.celery.plugins.module_utils.certificates.refusal import CertificateRefusal
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

USAGES = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}


@dataclass(frozen=True)
class Leaf:
    name: str
    sans: frozenset[str]
    usages: frozenset[str]


@dataclass(frozen=True)
class Validity:
    """How long a leaf lives, and how long before its end it is replaced; with `renew` at once."""

    lifetime: timedelta
    rotate_before: timedelta
    renew: bool = False


def read_leaf(asked: dict[str, Any]) -> Leaf:
    for usage in asked["usages"]:
        if usage not in USAGES:
            raise CertificateRefusal(f"leaf '{asked['name']}'", f"'{usage}' is no usage", "use server or client")
    if not asked["sans"]:
        raise CertificateRefusal(f"leaf '{asked['name']}'", "it has no name", "give at least one in sans")
    return Leaf(asked["name"], frozenset(map(str, asked["sans"])), frozenset(asked["usages"]))


def read_request(name: str, pem: str) -> x509.CertificateSigningRequest:
    remedy = "remove its key on the host and run again"
    try:
        request = x509.load_pem_x509_csr(pem.encode())
    except ValueError as error:
        raise CertificateRefusal(f"leaf '{name}'", "the host's request cannot be read", remedy) from error
    if not request.is_signature_valid:
        raise CertificateRefusal(f"leaf '{name}'", "the host's request is not signed by its key", remedy)
    return request


def read_certificate(pem: str | None) -> x509.Certificate | None:
    """The leaf in `pem`; what is not a certificate counts as missing."""
    try:
        return x509.load_pem_x509_certificates((pem or "").encode())[0]
    except ValueError:
        return None


def why_renew(
    leaf: Leaf,
    pem: str | None,
    request: x509.CertificateSigningRequest | None,
    authority: Authority | None,
    validity: Validity,
    now: datetime,
) -> str | None:
    """Why the host's certificate must be replaced, or None when it serves; in check mode key and CA may be missing."""
    certificate = read_certificate(pem)
    if certificate is None:
        return "is missing"
    if request is None:
        return "has no key"
    if authority is None:
        return "has no CA"
    if certificate.public_key() != request.public_key():
        return "is of another key"
    if not _issued_by(certificate, authority.certificate):
        return "is of another CA"
    if _chain_behind(pem) != authority.intermediates:
        return "comes with another chain"
    if _sans_of(certificate) != leaf.sans:
        return "has other names"
    if _usages_of(certificate) != leaf.usages:
        return "has other usages"
    if validity.renew:
        return "is to be renewed"
    end = certificate.not_valid_after_utc
    if end - now < validity.rotate_before and _end(authority, validity, now) > end:
        return f"expires on {end:%Y-%m-%d}"
    return None


def why_unfit(leaf: Leaf, pem: str, key: PublicKeyTypes | None, now: datetime) -> str | None:
    """Why a certificate that somebody else issued cannot be this leaf, or None."""
    certificate = read_certificate(pem)
    if certificate is None:
        return "is no PEM certificate"
    if certificate.public_key() != key:
        return "is not of the key beside it"
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not start <= now < end:
        return f"is valid from {start:%Y-%m-%d} to {end:%Y-%m-%d} only"
    if absent := leaf.usages - _usages_of(certificate):
        return f"lacks the usage {sorted(absent)[0]} auth"
    if "server" in leaf.usages and (names := leaf.sans - _sans_of(certificate)):
        return f"lacks the names {', '.join(sorted(names))}"
    return None


def sign(
    leaf: Leaf,
    request: x509.CertificateSigningRequest,
    authority: Authority,
    key: SigningKey,
    validity: Validity,
    now: datetime,
) -> str:
    """The certificate with its chain. Of the request it takes the public key, nothing else."""
    issuer = authority.certificate
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, leaf.name)]))
        .issuer_name(issuer.subject)
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(now - BACKDATE, issuer.not_valid_before_utc))
        .not_valid_after(_end(authority, validity, now))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(LEAF_KEY_USAGE, critical=True)
        .add_extension(x509.ExtendedKeyUsage([USAGES[each] for each in sorted(leaf.usages)]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(leaf, san) for san in sorted(leaf.sans)]), False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(request.public_key()), critical=False)
        .add_extension(_issuer_identifier(issuer), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode() + authority.intermediates


def expiry(pem: str | None) -> str | None:
    certificate = read_certificate(pem)
    return f"{certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}" if certificate else None


def describe(pem: str | None) -> str:
    """The lines that a diff shows of a certificate."""
    certificate = read_certificate(pem)
    if certificate is None:
        return ""
    return (
        f"issuer: {certificate.issuer.rfc4514_string()}\n"
        f"names: {', '.join(sorted(_sans_of(certificate)))}\n"
        f"usages: {', '.join(sorted(_usages_of(certificate)))}\n"
        f"expires: {expiry(pem)}\n"
        f"sha256: {certificate.fingerprint(hashes.SHA256()).hex()}\n"
    )


def describe_wanted(leaf: Leaf) -> str:
    return f"names: {', '.join(sorted(leaf.sans))}\nusages: {', '.join(sorted(leaf.usages))}\n"


def _end(authority: Authority, validity: Validity, now: datetime) -> datetime:
    return min([now + validity.lifetime, *(each.not_valid_after_utc for each in authority.chain)])


def _issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _chain_behind(pem: str | None) -> str:
    behind = x509.load_pem_x509_certificates((pem or "").encode())[1:]
    return "".join(each.public_bytes(serialization.Encoding.PEM).decode() for each in behind)


def _sans_of(certificate: x509.Certificate) -> frozenset[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(str(each.value) for each in names)


def _usages_of(certificate: x509.Certificate) -> frozenset[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(name for name, oid in USAGES.items() if oid in found)


def _general_name(leaf: Leaf, san: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(san))
    except ValueError:
        pass
    try:
        return x509.DNSName(san)
    except ValueError as error:
        raise CertificateRefusal(
            f"leaf '{leaf.name}'", f"'{san}' is not an ASCII host name", "write it in its xn-- form"
        ) from error


def _issuer_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())  # type: ignore[arg-type]
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
