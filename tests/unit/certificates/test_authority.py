from __future__ import annotations

import stat
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.certificates.authority import (
    Authority,
    load_authority,
    own_authority,
)
from ansible_collections.stalk.celery.plugins.module_utils.certificates.refusal import CertificateRefusal
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from .conftest import NOW, passphrase


def make_in_process(folder: Path) -> bytes:
    made = own_authority(folder, "shop CA", passphrase, NOW, make=True)
    assert made is not None
    made.signing_key()
    return made.certificate.fingerprint(hashes.SHA256())


def test_key_is_encrypted_and_private(authority: Authority) -> None:
    assert b"ENCRYPTED" in authority.key_path.read_bytes()
    assert stat.S_IMODE(authority.key_path.stat().st_mode) == 0o600
    assert stat.S_IMODE(authority.key_path.parent.stat().st_mode) == 0o700


def test_certificate_may_sign_leaves_only(authority: Authority) -> None:
    extensions = authority.certificate.extensions
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    assert usage.critical
    assert usage.value.key_cert_sign
    assert usage.value.crl_sign
    assert not usage.value.digital_signature
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=0)


def test_many_processes_make_one_authority(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4) as processes:
        assert len(set(processes.map(make_in_process, [tmp_path / "pki"] * 8))) == 1


def test_is_made_again_when_the_first_attempt_broke_off_after_the_key(tmp_path: Path) -> None:
    (tmp_path / "ca.key").write_text("half")
    made = own_authority(tmp_path, "shop CA", passphrase, NOW, make=True)
    assert made is not None
    made.signing_key()


def test_check_mode_makes_nothing(tmp_path: Path) -> None:
    assert own_authority(tmp_path / "pki", "shop CA", passphrase, NOW, make=False) is None
    assert not (tmp_path / "pki").exists()


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def issue(authority: Authority, name: str, *, ca: bool = True) -> tuple[bytes, bytes]:
    """A certificate that the authority signed, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=90))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False),
            critical=True,
        )
        .sign(authority.signing_key(), hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem(certificate), private


def test_intermediate_with_its_root_is_accepted(authority: Authority, tmp_path: Path) -> None:
    intermediate, key = issue(authority, "shop intermediate")
    chain = write(tmp_path / "chain.pem", intermediate + pem(authority.certificate))
    loaded = load_authority(chain, write(tmp_path / "key.pem", key), passphrase, NOW)
    loaded.signing_key()
    assert loaded.trust.encode() == chain.read_bytes()
    assert loaded.intermediates.encode() == intermediate


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "holds no PEM certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "holds no PEM certificate"),
    ],
)
def test_what_is_no_certificate_is_refused(authority: Authority, tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(CertificateRefusal, match=reason):
        load_authority(write(tmp_path / "ca.pem", content), authority.key_path, passphrase, NOW)


def test_missing_certificate_is_refused(authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(CertificateRefusal, match=r"absent\.pem: no such file or directory; name a PEM file"):
        load_authority(tmp_path / "absent.pem", authority.key_path, passphrase, NOW)


def test_missing_key_is_refused(authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(CertificateRefusal, match=r"absent\.pem: is missing"):
        load_authority(authority.certificate_path, tmp_path / "absent.pem", passphrase, NOW)


def test_expired_certificate_is_refused(authority: Authority) -> None:
    with pytest.raises(CertificateRefusal, match="is valid from 2026-03-01 to 2036-02-27 only"):
        load_authority(authority.certificate_path, authority.key_path, passphrase, NOW + timedelta(days=4000))


def test_leaf_is_refused_as_authority(authority: Authority, tmp_path: Path) -> None:
    leaf, key = issue(authority, "web", ca=False)
    chain = write(tmp_path / "chain.pem", leaf + pem(authority.certificate))
    with pytest.raises(CertificateRefusal, match="'CN=web' may not sign certificates"):
        load_authority(chain, write(tmp_path / "key.pem", key), passphrase, NOW)


def test_intermediate_without_its_root_is_refused(authority: Authority, tmp_path: Path) -> None:
    intermediate, key = issue(authority, "shop intermediate")
    with pytest.raises(CertificateRefusal, match="the issuer of 'CN=shop intermediate' does not follow it"):
        load_authority(write(tmp_path / "chain.pem", intermediate), write(tmp_path / "key.pem", key), passphrase, NOW)


def test_key_of_another_certificate_is_refused(authority: Authority, make_authority: Callable[..., Authority]) -> None:
    other = make_authority("other")
    mixed = load_authority(authority.certificate_path, other.key_path, passphrase, NOW)
    with pytest.raises(CertificateRefusal, match=r"is not the key of .*ca\.crt"):
        mixed.signing_key()


def test_wrong_passphrase_is_refused(authority: Authority) -> None:
    loaded = load_authority(authority.certificate_path, authority.key_path, lambda: "wrong", NOW)
    with pytest.raises(CertificateRefusal, match="cannot be decrypted; give its passphrase as the secret PKI_CA_PASS"):
        loaded.signing_key()


def test_what_is_no_key_is_refused(authority: Authority, tmp_path: Path) -> None:
    loaded = load_authority(authority.certificate_path, write(tmp_path / "key.pem", b"none"), passphrase, NOW)
    with pytest.raises(CertificateRefusal, match="holds no PEM private key"):
        loaded.signing_key()
