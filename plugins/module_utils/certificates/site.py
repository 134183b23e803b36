"""A certificate of the user's own for the site: checked whole before any host sees it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from ansible_collections.stalk.celery.plugins.module_utils.certificates.refusal import CertificateRefusal
from cryptography import x509
from cryptography.hazmat.primitives import serialization


def site_bundle(certificate_path: str, key_path: str, host: str, now: datetime) -> str:
    """The chain and its key as one PEM text."""
    certificate_pem = _read(certificate_path)
    key_pem = _read(key_path)
    try:
        chain = x509.load_pem_x509_certificates(certificate_pem)
    except ValueError:
        raise CertificateRefusal(certificate_path, "holds no PEM certificate", "name the site's chain") from None
    try:
        key = serialization.load_pem_private_key(key_pem, password=None)
    except TypeError:
        raise CertificateRefusal(key_path, "is encrypted", "nginx starts unattended; name a key in clear") from None
    except ValueError:
        raise CertificateRefusal(key_path, "holds no PEM private key", "name the site's key") from None
    leaf = chain[0]
    if leaf.public_key() != key.public_key():
        raise CertificateRefusal(
            key_path, f"is not the key of {certificate_path}", "name the pair, and in the chain the site's own first"
        )
    if leaf.not_valid_after_utc <= now:
        raise CertificateRefusal(certificate_path, f"expired on {leaf.not_valid_after_utc:%Y-%m-%d}", "renew it")
    if leaf.not_valid_before_utc > now:
        raise CertificateRefusal(
            certificate_path, f"is valid from {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC", "check this clock"
        )
    names = _names(leaf)
    if not any(_covers(name, host) for name in names):
        raise CertificateRefusal(
            certificate_path, f"is for {', '.join(names) or 'no host'}, not for {host}", "correct it or web.host"
        )
    ordered = "".join(each.public_bytes(serialization.Encoding.PEM).decode() for each in chain)
    return ordered + key_pem.decode().strip() + "\n"


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CertificateRefusal(
            path, (error.strerror or str(error)).lower(), "name a PEM file of this machine that can be read"
        ) from error


def _names(leaf: x509.Certificate) -> list[str]:
    try:
        extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return extension.value.get_values_for_type(x509.DNSName)


def _covers(name: str, host: str) -> bool:
    """RFC 6125: a wildcard stands for the first label only."""
    name, host = name.lower(), host.lower()
    return name == host or (name.startswith("*.") and host.partition(".")[2] == name[2:])
