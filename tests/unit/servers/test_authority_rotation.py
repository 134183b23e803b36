"""One CA follows another; a run may be interrupted anywhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.certificates.authority import Authority, own_authority
from ansible_collections.stalk.celery.plugins.module_utils.certificates.authority_rotation import AuthorityRotation
from cryptography import x509

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def passphrase() -> str:
    return "secret"


def authority_in(folder: Path, now: datetime = LATER) -> Authority:
    authority = own_authority(folder, "shop CA", passphrase, now, make=False)
    assert authority is not None
    # Its key is the certificate's.
    authority.signing_key()
    return authority


def trusted(authority: Authority) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(authority.trust.encode())


@pytest.fixture
def old(tmp_path: Path) -> Authority:
    made = own_authority(tmp_path, "shop CA", passphrase, NOW, make=True)
    assert made is not None
    return made


@pytest.fixture
def rotation(tmp_path: Path, old: Authority) -> AuthorityRotation:
    return AuthorityRotation(tmp_path, "shop CA", passphrase, LATER)


def test_both_are_trusted_before_the_new_one_signs_and_until_the_old_one_goes(
    rotation: AuthorityRotation, old: Authority, tmp_path: Path
) -> None:
    assert rotation.announced()
    announced = authority_in(tmp_path)
    assert announced.certificate == old.certificate
    (to_come,) = announced.beside
    assert trusted(announced) == [old.certificate, to_come]
    assert to_come.subject != old.certificate.subject

    assert rotation.signing()
    signing = authority_in(tmp_path)
    assert trusted(signing) == [to_come, old.certificate]

    assert rotation.alone()
    assert trusted(authority_in(tmp_path)) == [to_come]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "ca.crt", "ca.key"]


def test_a_further_run_goes_on_with_one_that_was_interrupted(rotation: AuthorityRotation, tmp_path: Path) -> None:
    rotation.announced()
    assert not rotation.announced()
    rotation.signing()
    assert not rotation.announced()
    assert not rotation.signing()
    rotation.alone()
    assert not rotation.alone()


def test_an_interrupted_change_of_key_and_certificate_is_ended(
    rotation: AuthorityRotation, old: Authority, tmp_path: Path
) -> None:
    rotation.announced()
    (to_come,) = authority_in(tmp_path).beside
    (tmp_path / "previous.crt").write_bytes((tmp_path / "ca.crt").read_bytes())
    (tmp_path / "next.key").replace(tmp_path / "ca.key")
    assert rotation.announced()
    assert trusted(authority_in(tmp_path)) == [to_come, old.certificate]


def test_the_follower_of_one_that_has_expired_signs_at_once(tmp_path: Path, old: Authority) -> None:
    late = NOW + timedelta(days=4000)
    assert AuthorityRotation(tmp_path, "shop CA", passphrase, late).announced()
    (alone,) = trusted(authority_in(tmp_path, late))
    assert alone.not_valid_after_utc > late


def test_so_does_one_that_was_announced_before_the_other_expired(rotation: AuthorityRotation, tmp_path: Path) -> None:
    rotation.announced()
    (to_come,) = authority_in(tmp_path).beside
    late = NOW + timedelta(days=3650, minutes=1)
    assert replace(rotation, now=late).announced()
    assert trusted(authority_in(tmp_path, late)) == [to_come]


def test_nothing_follows_where_there_is_none_yet(tmp_path: Path) -> None:
    rotation = AuthorityRotation(tmp_path, "shop CA", passphrase, NOW)
    assert [rotation.announced(), rotation.signing(), rotation.alone()] == [False] * 3
    assert list(tmp_path.iterdir()) == []


def test_check_mode_makes_nothing(tmp_path: Path, old: Authority) -> None:
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert AuthorityRotation(tmp_path, "shop CA", passphrase, LATER, dry=True).announced()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
