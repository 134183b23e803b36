"""Backups of a stack in a folder: their names, what is written of each, and what speaks against its return."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
FORMAT = "%Y%m%dT%H%M%SZ"
NAME = re.compile(r"\d{8}T\d{6}Z")
LATEST = "latest"
RUN = ".run"
CODE = "code"
FILES = {"database": "database.dump.age", "broker": "{kind}.rdb.age"}


class BackupRefused(Exception):
    """One line: which backup or variable, why not, what to do."""


@dataclass(frozen=True)
class Part:
    """Of the encrypted file, and the bytes that its content takes on the host."""

    kind: str
    version: str
    file: str
    size: int
    sha256: str
    space: int


@dataclass(frozen=True)
class Manifest:
    """`recipient` is the public key that the files are encrypted to, `releases` are those that ran meanwhile."""

    app: str
    recipient: str
    releases: tuple[str, ...]
    parts: Mapping[str, Part] = field(default_factory=dict)


def name_at(now: datetime) -> str:
    return f"{now:{FORMAT}}"


def told(name: str) -> str:
    """With its time, unless somebody gave it another name."""
    return f"{name}, of {datetime.strptime(name, FORMAT):%Y-%m-%d %H:%M:%S} UTC" if NAME.fullmatch(name) else name


def file_of(part: str, kind: str) -> str:
    return FILES[part].format(kind=kind)


def draft_of(folder: Path, name: str) -> Path:
    """What nobody takes for a backup."""
    return folder / f".{name}"


def drafts(folder: Path) -> list[Path]:
    return [path for path in folder.glob(".*") if NAME.fullmatch(path.name[1:])]


def names(folder: Path) -> list[str]:
    """Of the backups there, oldest first."""
    return sorted(path.parent.name for path in folder.glob(f"*/{MANIFEST}") if NAME.fullmatch(path.parent.name))


def begin_run(folder: Path, process: int) -> None:
    """One run at a time has the folder, for as long as its process lives."""
    with (folder / RUN).open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        other = file.read()
        number = other.partition(" ")[0]
        if number.isdecimal() and int(number) != process and lives(int(number), other):
            raise BackupRefused(
                f"{folder}: another backup or restore is under way, in process {number}; wait for its end, or remove "
                f"{file.name} if that process is none. Nothing was changed."
            )
        file.truncate(0)
        file.write(told_apart(process))


def told_apart(process: int) -> str:
    """Its number, and where the system tells it when it started: a later process may get the number."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return str(process)
    # proc_pid_stat(5): starttime is field 22, the first one behind the name is 3.
    return f"{process} {fields[22 - 3]}"


def lives(process: int, wanted: str) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return told_apart(process) == wanted


def superseded(kept: Sequence[str], count: int, made: str) -> list[str]:
    """All but the `count` newest; the one just made stays, whatever the clock said before."""
    others = [name for name in kept if name != made]
    return others[: max(0, len(others) - (count - 1))]


def complete(folder: Path, name: str, manifest: Manifest, code: Callable[[str], str]) -> Path:
    """The draft becomes the backup, whole or not at all. `code` is what nobody without the private key can write."""
    draft, path = draft_of(folder, name), folder / name
    content = asdict(manifest)
    written = json.dumps({**content, CODE: code(signed(content))}, indent=2)
    (draft / MANIFEST).write_text(written + "\n", encoding="utf-8")
    put_in_place(folder, name)
    return path


def put_in_place(folder: Path, name: str) -> None:
    """The draft under the backup's name, once all of it is on the disk."""
    draft = draft_of(folder, name)
    for entry in (*sorted(draft.iterdir()), draft):
        to_disk(entry)
    draft.rename(folder / name)
    to_disk(folder)


def to_disk(path: Path) -> None:
    """A file, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(folder: Path, name: str) -> None:
    """First it is no backup any more."""
    draft = draft_of(folder, name)
    (folder / name).rename(draft)
    shutil.rmtree(draft)


def known(folder: Path) -> str:
    """The newest, for somebody who named none of them."""
    found = names(folder)
    return f"there {'are' if found else 'is'} {', '.join(found[-10:]) or 'none'} in {folder}"


def chosen(folder: Path, wanted: str) -> Path:
    """The backup that the user means by a name, a path or `latest`."""
    there = known(folder)
    if not wanted:
        raise BackupRefused(f"stalk_backup: names no backup; write latest, a name or a folder; {there}")
    if wanted == LATEST and (found := names(folder)):
        return folder / found[-1]
    path = folder / wanted if NAME.fullmatch(wanted) else Path(wanted).expanduser().absolute()
    if not (path / MANIFEST).is_file():
        raise BackupRefused(f"backup {wanted}: is none; {there}")
    return path


def content_of(path: Path) -> dict[str, Any]:
    file = path / MANIFEST
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BackupRefused(f"{file}: cannot be read ({error.strerror}); correct its owner and mode") from None
    except ValueError:
        raise no_manifest(file) from None
    return found


def no_manifest(file: Path) -> BackupRefused:
    return BackupRefused(f"{file}: is no manifest of a backup; choose another backup")


def read(path: Path) -> Manifest:
    try:
        found = content_of(path)
        parts = {str(name): Part(**part) for name, part in found["parts"].items()}
        return Manifest(found["app"], found["recipient"], tuple(found["releases"]), parts)
    except (KeyError, TypeError, AttributeError):
        raise no_manifest(path / MANIFEST) from None


def signed(content: Mapping[str, Any]) -> str:
    """What the code is of."""
    return json.dumps({key: value for key, value in content.items() if key != CODE}, sort_keys=True)


def forged(path: Path, code: Callable[[str], str]) -> list[str]:
    """Anyone can encrypt to the public key, and a database is restored with every right."""
    content = content_of(path)
    genuine = hmac.compare_digest(str(content.get(CODE)).encode(), code(signed(content)).encode())
    return [] if genuine else [f"{path / MANIFEST}: is not what a backup wrote, by its code; choose another backup"]


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def broken(path: Path, manifest: Manifest) -> Iterator[str]:
    """Files that are not as they were written."""
    for part in manifest.parts.values():
        file = path / part.file
        try:
            whole = file.stat().st_size == part.size and sha256_of(file) == part.sha256
        except OSError as error:
            yield f"{file}: cannot be read ({error.strerror}); choose another backup"
            continue
        if not whole:
            yield f"{file}: is not what was written, by its size or SHA-256; choose another backup"


def version_of(text: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", text)))


def mismatches(
    manifest: Manifest, stack: Mapping[str, Any], current: Mapping[str, str], versions: Mapping[str, Mapping[str, str]]
) -> Iterator[str]:
    """Why it does not fit what is deployed: host to its release, and part to host to the version of its server."""
    app, broker = stack["app"]["name"], stack["broker"]["kind"]
    if manifest.app != app:
        yield f"backup: is of the app {manifest.app}, and this is {app}; choose a backup of {app}"
        return
    if stack["database"]["kind"] == "external":
        yield "database.kind: is external, which Stalk does not restore; restore it as its provider says"
    elif "database" not in manifest.parts:
        yield "backup: has no database; choose another backup"
    copied = manifest.parts["broker"].kind if "broker" in manifest.parts else ""
    if copied and copied != broker:
        yield f"broker.kind: is {broker}, and the backup has the data of {copied}; choose another backup"
    if not copied and "broker" in required(stack):
        yield f"broker.kind: is {broker}, and the backup has nothing of a broker; choose another backup"
    for part, of in manifest.parts.items():
        for host, version in versions.get(part, {}).items():
            if not version:
                yield f"{of.kind} on {host}: is not installed; run playbooks/site.yml first"
            elif version_of(version)[: digits(part)] < version_of(of.version)[: digits(part)]:
                yield f"{of.kind} on {host}: is {version}, and the backup is of {of.version}; upgrade the host first"
    wanted = " or ".join(manifest.releases)
    for host, release in current.items():
        if release not in manifest.releases:
            yield (
                f"release on {host}: is {release or 'none'}, and the backup is of {wanted}; bring that release back "
                "first, by a rollback or from its source"
            )


def digits(part: str) -> int:
    """PostgreSQL's format belongs to the first number, that of Redis may change with the second."""
    return 1 if part == "database" else 2


def confirmation(
    app: str, name: str, manifest: Manifest, hosts: Mapping[str, Sequence[str]], confirmed: str
) -> Iterator[str]:
    """What would be replaced, unless the app's name confirms it."""
    if confirmed == app:
        return
    places = [f"{manifest.parts[part].kind} on {', '.join(on)}" for part, on in hosts.items() if part in manifest.parts]
    yield (
        f"stalk_restore: is {confirmed or 'not set'}, and this stops {app} and puts what {told(name)}, has into the "
        f"place of the data of {' and of '.join(places)}; write -e stalk_restore={app} to do so"
    )


def required(stack: Mapping[str, Any]) -> set[str]:
    """Parts without which it is no backup of this stack."""
    return {"database", "broker"} if stack["broker"]["component"] == "redis" else {"database"}


def not_in_it(stack: Mapping[str, Any]) -> list[str]:
    """What a backup of this stack leaves out."""
    broker = stack["broker"]["kind"]
    if broker == "external":
        return ["the broker, which is external"]
    if broker == "rabbitmq":
        return ["the messages in RabbitMQ, which no copy can have; the sweep sends every open OutboxTask again"]
    return []


def readable(size: int) -> str:
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"
