"""Names and manifests of backups, and what speaks against the return of one."""

from __future__ import annotations

import hashlib
import os
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.stalk.celery.plugins.module_utils import backups
from ansible_collections.stalk.celery.plugins.module_utils.backup_identity import BackupIdentity
from ansible_collections.stalk.celery.plugins.module_utils.backups import BackupRefused, Manifest, Part
from ansible_collections.stalk.celery.plugins.module_utils.redis_copy import base_of, is_rewriting
from ansible_collections.stalk.celery.plugins.module_utils.secrets_store import SecretsStore

NAME = "20261130T120000Z"
CONTENT = b"sealed"
HOSTS = {"broker": {"data1": "7.0.15"}, "database": {"data1": "15.14"}}


def part(kind: str, version: str, file: str) -> Part:
    return Part(kind, version, file, len(CONTENT), hashlib.sha256(CONTENT).hexdigest(), 5000)


MANIFEST = Manifest(
    "shop",
    "age1public",
    ("3f1c",),
    {
        "broker": part("redis", "7.0.15", "redis.rdb.age"),
        "database": part("postgresql", "15.14", "database.dump.age"),
    },
)


def stack(broker: str = "redis", database: str = "embedded") -> dict[str, Any]:
    return {
        "app": {"name": "shop"},
        "broker": {"kind": broker, "component": "redis" if broker == "valkey" else broker},
        "database": {"kind": database},
    }


def code(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    draft = backups.draft_of(tmp_path, NAME)
    draft.mkdir()
    for of in MANIFEST.parts.values():
        (draft / of.file).write_bytes(CONTENT)
    return tmp_path


def test_a_backup_is_named_by_the_time_that_sorts() -> None:
    assert backups.name_at(datetime(2026, 11, 30, 12, tzinfo=UTC)) == NAME
    assert backups.told(NAME) == f"{NAME}, of 2026-11-30 12:00:00 UTC"
    assert backups.told("before-the-move") == "before-the-move"


def test_the_newest_are_kept() -> None:
    assert backups.superseded(["a", "b", "c"], 2, "c") == ["a"]
    assert backups.superseded(["a"], 2, "a") == []


def test_the_one_just_made_is_kept_where_the_clock_went_back() -> None:
    assert backups.superseded(["a", "b", "c"], 1, "a") == ["b", "c"]


def test_one_run_at_a_time_has_the_folder(tmp_path: Path) -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as other:
        backups.begin_run(tmp_path, other.pid)
        backups.begin_run(tmp_path, other.pid)
        with pytest.raises(BackupRefused, match=rf"another backup or restore is under way, in process {other.pid}; "):
            backups.begin_run(tmp_path, os.getpid())
    backups.begin_run(tmp_path, os.getpid())
    assert (tmp_path / backups.RUN).read_text() == backups.told_apart(os.getpid())


def test_a_later_process_with_the_number_of_a_run_does_not_hold_its_folder(tmp_path: Path) -> None:
    (tmp_path / backups.RUN).write_text(f"{os.getppid()} 1")
    backups.begin_run(tmp_path, os.getpid())
    assert (tmp_path / backups.RUN).read_text() == backups.told_apart(os.getpid())


def test_a_draft_is_no_backup_until_it_is_complete(folder: Path) -> None:
    assert backups.names(folder) == []
    assert backups.drafts(folder) == [backups.draft_of(folder, NAME)]
    path = backups.complete(folder, NAME, MANIFEST, code)
    assert backups.names(folder) == [NAME]
    assert backups.read(path) == MANIFEST
    assert list(backups.broken(path, MANIFEST)) == []
    backups.remove(folder, NAME)
    assert list(folder.iterdir()) == []


def test_all_of_it_is_on_the_disk_before_its_name_and_that_before_older_ones_go(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(backups, "to_disk", lambda path: synced.append(path.name))
    backups.complete(folder, NAME, MANIFEST, code)
    assert synced == ["database.dump.age", backups.MANIFEST, "redis.rdb.age", f".{NAME}", folder.name]


def test_a_backup_is_chosen_by_name_path_or_as_the_latest(folder: Path) -> None:
    path = backups.complete(folder, NAME, MANIFEST, code)
    assert {backups.chosen(folder, wanted) for wanted in (NAME, str(path), "latest")} == {path}
    for wanted in ("", "20010101T000000Z", "/nowhere"):
        with pytest.raises(BackupRefused, match=f"there are {NAME} in "):
            backups.chosen(folder, wanted)


def test_without_a_backup_there_is_no_latest(tmp_path: Path) -> None:
    with pytest.raises(BackupRefused, match=r"^backup latest: is none; there is none in "):
        backups.chosen(tmp_path, "latest")


def test_a_manifest_that_is_none_is_refused(folder: Path) -> None:
    path = backups.complete(folder, NAME, MANIFEST, code)
    (path / backups.MANIFEST).write_text("{")
    with pytest.raises(BackupRefused, match="is no manifest of a backup"):
        backups.read(path)


def test_a_manifest_that_another_wrote_is_refused(folder: Path) -> None:
    path = backups.complete(folder, NAME, MANIFEST, code)
    assert backups.forged(path, code) == []
    file = path / backups.MANIFEST
    written = file.read_text()
    for text in (written.replace("15.14", "15.15"), written.replace('"code"', '"coda"')):
        file.write_text(text)
        (line,) = backups.forged(path, code)
        assert line.startswith(f"{file}: is not what a backup wrote, ")


def test_the_code_of_a_manifest_takes_the_private_key(tmp_path: Path) -> None:
    one, other = (BackupIdentity.of(SecretsStore(tmp_path / name), make=True) for name in ("one", "other"))
    assert one.code("text") == one.code("text") != other.code("text")


def test_files_that_changed_or_went_are_named(folder: Path) -> None:
    path = backups.complete(folder, NAME, MANIFEST, code)
    (path / "redis.rdb.age").write_bytes(b"sealeD")
    (path / "database.dump.age").unlink()
    changed, gone = backups.broken(path, MANIFEST)
    assert changed.startswith(f"{path}/redis.rdb.age: is not what was written")
    assert gone.startswith(f"{path}/database.dump.age: cannot be read")


def test_what_fits_is_not_spoken_against() -> None:
    newer = {"broker": {"data1": "8.0.2"}, "database": {"data1": "17.2"}}
    for versions in (HOSTS, newer):
        assert list(backups.mismatches(MANIFEST, stack(), {"app1": "3f1c"}, versions)) == []


@pytest.mark.parametrize(
    ("manifest", "described", "release", "versions", "begins"),
    [
        (replace(MANIFEST, app="books"), stack(), "3f1c", HOSTS, "backup: is of the app books, "),
        (MANIFEST, stack(database="external"), "3f1c", {}, "database.kind: is external, "),
        (
            replace(MANIFEST, parts={"broker": MANIFEST.parts["broker"]}),
            stack(),
            "3f1c",
            {},
            "backup: has no database; ",
        ),
        (
            replace(MANIFEST, parts={"database": MANIFEST.parts["database"]}),
            stack(),
            "3f1c",
            {},
            "broker.kind: is redis, and the backup has nothing of a broker; ",
        ),
        (MANIFEST, stack(broker="valkey"), "3f1c", {}, "broker.kind: is valkey, "),
        (MANIFEST, stack(), "3f1c", {"database": {"data1": "14.9"}}, "postgresql on data1: is 14.9, "),
        (MANIFEST, stack(), "3f1c", {"broker": {"data1": "6.2.1"}}, "redis on data1: is 6.2.1, "),
        (MANIFEST, stack(), "3f1c", {"broker": {"data1": ""}}, "redis on data1: is not installed; "),
        (MANIFEST, stack(), "77aa", HOSTS, "release on app1: is 77aa, and the backup is of 3f1c; "),
        (MANIFEST, stack(), "", HOSTS, "release on app1: is none, and the backup is of 3f1c; "),
    ],
)
def test_what_does_not_fit_is_refused(
    manifest: Manifest, described: dict[str, Any], release: str, versions: Any, begins: str
) -> None:
    (line,) = backups.mismatches(manifest, described, {"app1": release}, versions)
    assert line.startswith(begins)


def test_a_restore_wants_the_name_of_the_app() -> None:
    places = {"broker": ["data1"], "database": ["data2"]}
    assert list(backups.confirmation("shop", NAME, MANIFEST, places, "shop")) == []
    for said, confirmed in (("not set", ""), ("books", "books")):
        (line,) = backups.confirmation("shop", NAME, MANIFEST, places, confirmed)
        assert line == (
            f"stalk_restore: is {said}, and this stops shop and puts what {NAME}, of 2026-11-30 12:00:00 UTC, has "
            "into the place of the data of redis on data1 and of postgresql on data2; write -e stalk_restore=shop to "
            "do so"
        )


def test_what_a_backup_leaves_out_is_told() -> None:
    assert backups.not_in_it(stack()) == []
    (line,) = backups.not_in_it(stack("rabbitmq"))
    assert line.startswith("the messages in RabbitMQ, ")


def test_a_backup_has_the_database_and_of_redis_the_broker() -> None:
    assert backups.required(stack("valkey")) == {"broker", "database"}
    assert backups.required(stack("rabbitmq")) == {"database"}


def test_the_private_key_is_made_once(tmp_path: Path) -> None:
    store = SecretsStore(tmp_path / "secrets")
    with pytest.raises(BackupRefused, match="is neither in stalk_secrets nor in "):
        BackupIdentity.of(store, make=False)
    made = BackupIdentity.of(store, make=True)
    assert BackupIdentity.of(store, make=True).recipient == BackupIdentity.of(store, make=False).recipient
    assert made.recipient.startswith("age1")


def test_a_private_key_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackupRefused, match="is no private key of age"):
        BackupIdentity.of(SecretsStore(tmp_path, {"BACKUP_IDENTITY": "secret"}), make=False)


def test_a_file_is_decrypted_to_its_end(tmp_path: Path) -> None:
    from pyrage import encrypt, x25519

    identity = BackupIdentity.of(SecretsStore(tmp_path / "secrets"), make=True)
    whole = encrypt(bytes(200_000), [x25519.Recipient.from_str(identity.recipient)])
    sealed = tmp_path / "sealed.age"
    sealed.write_bytes(whole)
    assert identity.digest(sealed)
    sealed.write_bytes(whole[:-1])
    with pytest.raises(BackupRefused, match="cannot be decrypted"):
        identity.digest(sealed)


def test_the_base_of_an_append_only_file_is_what_its_manifest_names() -> None:
    manifest = "file appendonly.aof.7.base.rdb seq 7 type b\nfile appendonly.aof.9.incr.aof seq 9 type i\n"
    assert base_of(manifest) == "appendonly.aof.7.base.rdb"
    assert base_of("file appendonly.aof.1.incr.aof seq 1 type i\n") == ""


def test_a_rewrite_that_is_scheduled_is_waited_for_too() -> None:
    assert is_rewriting({"aof_rewrite_in_progress": "0", "aof_rewrite_scheduled": "1"})
    assert not is_rewriting({"aof_rewrite_in_progress": "0", "aof_rewrite_scheduled": "0"})
