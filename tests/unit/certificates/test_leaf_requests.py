from __future__ import annotations

import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.certificates.leaves import read_request
from ansible_collections.stalk.celery.plugins.modules.leaf_requests import Refused, exchange, write
from cryptography import x509


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "shop" / "pki"


def test_keys_are_made_once_and_for_root_alone(directory: Path) -> None:
    first = exchange(directory, ["redis", "web"], {}, None, dry=False)
    second = exchange(directory, ["redis", "web"], {}, None, dry=False)
    assert first["keys_made"] == ["redis", "web"]
    assert not second["changed"]
    assert public_key(first, "redis") == public_key(second, "redis") != public_key(second, "web")
    assert stat.S_IMODE((directory / "redis.key").stat().st_mode) == 0o600


def public_key(answer: dict[str, dict[str, dict[str, str]]], name: str) -> object:
    request: x509.CertificateSigningRequest = read_request(name, answer["leaves"][name]["request"])
    return request.public_key()


def test_check_mode_writes_nothing(directory: Path) -> None:
    answer = exchange(directory, ["redis"], {"redis": "certificate"}, "trust", dry=True)
    assert answer["changed"]
    assert answer["leaves"] == {"redis": {"request": None, "certificate": None}}
    assert not directory.parent.exists()


def test_certificates_are_installed_for_all_to_read(directory: Path) -> None:
    answer = exchange(directory, ["redis"], {"redis": "certificate"}, "trust", dry=False)
    assert answer["trust"] == "trust"
    assert answer["leaves"]["redis"]["certificate"] == "certificate"
    assert stat.S_IMODE((directory / "redis.crt").stat().st_mode) == 0o644
    assert sorted(path.name for path in directory.iterdir()) == ["ca.crt", "redis.crt", "redis.key"]


def test_broken_key_is_refused_with_its_remedy(directory: Path) -> None:
    exchange(directory, ["redis"], {}, None, dry=False)
    (directory / "redis.key").write_text("broken")
    with pytest.raises(Refused, match=r"redis\.key: .*; remove the file, the next run makes another key"):
        exchange(directory, ["redis"], {}, None, dry=False)


@contextmanager
def full_disk() -> Iterator[None]:
    """No longer than for the call under test: the limit holds for pytest's own report too."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_file_is_as_before_when_the_disk_takes_no_more(tmp_path: Path) -> None:
    path = tmp_path / "redis.crt"
    write(path, "old", 0o644)
    with pytest.raises(Refused, match=r"redis\.crt: File too large; the files there are as before"), full_disk():
        write(path, "new" * 100, 0o644)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
