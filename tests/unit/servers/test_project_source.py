from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.project_source import digest, missing_files, write_archive


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name in ("manage.py", "shop/tasks.py", "shop/__pycache__/tasks.pyc", ".git/HEAD", "db.sqlite3", "stray.pyc"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "link").symlink_to("manage.py")
    return tmp_path


def archive(source: Path) -> bytes:
    target = io.BytesIO()
    write_archive(source, target)
    return target.getvalue()


def test_archive_holds_the_project_and_nothing_made_from_it(source: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(archive(source))) as packed:
        assert packed.getnames() == ["link", "manage.py", "shop/tasks.py"]
        assert {(entry.uid, entry.gid, entry.mtime) for entry in packed} == {(0, 0, 0)}


def test_same_files_give_the_same_bytes_and_digest_whenever_they_were_written(source: Path) -> None:
    before = archive(source), digest(source)
    assert before[0][4:8] == bytes(4), "gzip's own time stamp"
    for path in (source / "manage.py", source / "shop"):
        os.utime(path, (1, 1))
    (source / "shop/__pycache__/more.pyc").write_text("")
    assert (archive(source), digest(source)) == before


@pytest.mark.parametrize("change", ["content", "name", "executable", "link"])
def test_every_difference_changes_the_digest(source: Path, change: str) -> None:
    before = digest(source)
    if change == "content":
        (source / "manage.py").write_text("other")
    elif change == "name":
        (source / "manage.py").rename(source / "manage2.py")
    elif change == "executable":
        (source / "manage.py").chmod(0o755)
    else:
        (source / "link").unlink()
        (source / "link").symlink_to("shop")
    assert digest(source) != before


def test_what_a_release_needs_is_named(source: Path) -> None:
    assert missing_files(source) == ["requirements.txt"]


@pytest.mark.parametrize("name", [".env", ".env.production", "shop/.envrc", "deploy/site.key", "deploy/site.pem"])
def test_secrets_that_lie_about_are_not_shipped(source: Path, name: str) -> None:
    before = digest(source)
    (source / name).parent.mkdir(exist_ok=True)
    (source / name).write_text("-----BEGIN PRIVATE KEY-----")
    assert digest(source) == before


def test_a_certificate_is_shipped(source: Path) -> None:
    (source / "ca.pem").write_text("-----BEGIN CERTIFICATE-----")
    with tarfile.open(fileobj=io.BytesIO(archive(source))) as packed:
        assert "ca.pem" in packed.getnames()
