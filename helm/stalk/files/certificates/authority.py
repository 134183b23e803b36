"""The certificate authority on the control node: made once, or provided as two PEM files."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from ansible_collections.stalk.celery.plugins.module_utils.certificates.refusal import CertificateRefusal
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import NameOID

PASSPHRASE = "PKI_CA_PASSPHRASE"
CURRENT = "ca"
# While one CA follows another: the one to come, or the one before.
NEXT, PREVIOUS = "next", "previous"
LIFETIME = timedelta(days=3650)
BACKDATE = timedelta(minutes=5)

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
Passphrase = Callable[[], str]


@dataclass(frozen=True)
class Authority:
    """`chain` is the signer first, up to its self-signed root; hosts trust all of it, and what is `beside` it."""

    chain: tuple[x509.Certificate, ...]
    certificate_path: Path
    key_path: Path
    passphrase: Passphrase
    beside: tuple[x509.Certificate, ...] = ()

    @property
    def certificate(self) -> x509.Certificate:
        return self.chain[0]

    @property
    def trust(self) -> str:
        return _pem((*self.chain, *self.beside))

    @property
    def intermediates(self) -> str:
        """What a server sends behind its leaf: the chain without its root."""
        return _pem(self.chain[:-1])

    def signing_key(self) -> SigningKey:
        key = _load_key(self.key_path, self.passphrase)
        if key.public_key() != self.certificate.public_key():
            raise CertificateRefusal(
                str(self.key_path),
                f"is not the key of {self.certificate_path}",
                "name the key that belongs to the certificate",
            )
        return key


def own_authority(directory: Path, name: str, passphrase: Passphrase, now: datetime, *, make: bool) -> Authority | None:
    """The authority in `directory`, made there when it is missing and may be made."""
    certificate_path, key_path = pair_of(directory, CURRENT)
    if not certificate_path.exists():
        if not make:
            return None
        make_authority(directory, CURRENT, name, passphrase, now)
    others = [path for role in (NEXT, PREVIOUS) if (path := pair_of(directory, role)[0]).exists()]
    beside = tuple(certificate for path in others for certificate in _certificates(path))
    return replace(load_authority(certificate_path, key_path, passphrase, now), beside=beside)


def pair_of(directory: Path, role: str) -> tuple[Path, Path]:
    """Where certificate and key of the CA in this role lie."""
    return directory / f"{role}.crt", directory / f"{role}.key"


def make_authority(directory: Path, role: str, name: str, passphrase: Passphrase, now: datetime) -> None:
    """Makes it unless it is there, also where several ask at once."""
    certificate_path, key_path = pair_of(directory, role)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _lock(directory / ".lock"):
        if not certificate_path.exists():
            _make(certificate_path, key_path, name, passphrase(), now)


def load_authority(certificate_path: Path, key_path: Path, passphrase: Passphrase, now: datetime) -> Authority:
    if not key_path.is_file():
        raise CertificateRefusal(str(key_path), "is missing", "put the key of the CA there")
    return Authority(_load_chain(certificate_path, now), certificate_path, key_path, passphrase)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _make(certificate_path: Path, key_path: Path, name: str, passphrase: str, now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase.encode()),
    )
    # The certificate comes last: where it is, the key is whole.
    write(key_path, encrypted, 0o600)
    write(certificate_path, certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def _key_usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


LEAF_KEY_USAGE = _key_usage(digital_signature=True)


def write(path: Path, content: bytes, mode: int) -> None:
    """All of it, or nothing."""
    partial = path.with_name(f".{path.name}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
    partial.replace(path)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateRefusal(
            str(path), (error.strerror or str(error)).lower(), "name a PEM file that can be read"
        ) from error


def _certificates(path: Path) -> tuple[x509.Certificate, ...]:
    try:
        return tuple(x509.load_pem_x509_certificates(_read(path)))
    except ValueError as error:
        raise CertificateRefusal(str(path), "holds no PEM certificate", "put the CA's certificate there") from error


def _load_chain(path: Path, now: datetime) -> tuple[x509.Certificate, ...]:
    chain = _certificates(path)
    for certificate in chain:
        _check_signer(path, certificate, now)
    for certificate, issuer in zip(chain, (*chain[1:], chain[-1]), strict=True):
        _check_issued(path, certificate, issuer)
    return chain


def _check_signer(path: Path, certificate: x509.Certificate, now: datetime) -> None:
    name = certificate.subject.rfc4514_string()
    if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
        start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        raise CertificateRefusal(
            str(path),
            f"'{name}' is valid from {start:%Y-%m-%d} to {end:%Y-%m-%d} only",
            "put a valid certificate there",
        )
    try:
        is_authority = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        may_sign = certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        is_authority = may_sign = False
    if not (is_authority and may_sign):
        raise CertificateRefusal(
            str(path),
            f"'{name}' may not sign certificates",
            "use one with the basic constraint CA:TRUE and the key usage keyCertSign",
        )


def _check_issued(path: Path, certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise CertificateRefusal(
            str(path),
            f"the issuer of '{certificate.subject.rfc4514_string()}' does not follow it",
            "put the signing certificate first, then its issuers up to the self-signed root",
        ) from error


def _load_key(path: Path, passphrase: Passphrase) -> SigningKey:
    content = _read(path)
    try:
        key = serialization.load_pem_private_key(content, None)
    except TypeError:
        key = _decrypt_key(path, content, passphrase())
    except ValueError as error:
        raise CertificateRefusal(str(path), "holds no PEM private key", "put the CA's key there") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise CertificateRefusal(str(path), "is neither an ECDSA nor an RSA key", "use a CA with one of these")
    return key


def _decrypt_key(path: Path, content: bytes, passphrase: str) -> PrivateKeyTypes:
    try:
        return serialization.load_pem_private_key(content, passphrase.encode())
    except ValueError as error:
        raise CertificateRefusal(
            str(path), "cannot be decrypted", f"give its passphrase as the secret {PASSPHRASE}"
        ) from error


def _pem(certificates: tuple[x509.Certificate, ...]) -> str:
    return "".join(each.public_bytes(serialization.Encoding.PEM).decode() for each in certificates)
