"""Makes the files below a folder be what is wanted, and says what that changes."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path


@dataclass(frozen=True)
class Folder:
    """`files` maps a path below the folder to its content; what matches `exactly` and is not in `files` goes.

    `validate` maps some of those paths to a command with %s, which refuses a new content before it replaces the old.
    With `stage` the files are written there, all of them, when one of them is not in place as wanted; nothing goes.
    `made` is a file that the command `make` makes from the files, and which must not be older than they are.
    """

    path: Path
    files: Mapping[str, str]
    mode: int = 0o755
    file_mode: int = 0o644
    exactly: tuple[str, ...] = ()
    validate: Mapping[str, str] = field(default_factory=dict)
    stage: Path | None = None
    made: Path | None = None
    make: tuple[str, ...] = ()


class ContentRefused(Exception):
    """What a validating command says of a new content."""


@dataclass
class Changes:
    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    diff: list[dict[str, str]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    def paths(self) -> set[str]:
        return {*self.added, *self.changed, *self.removed}

    def record(self, into: list[str], path: Path, before: str, after: str) -> None:
        into.append(str(path))
        self.diff.append({"before_header": str(path), "after_header": str(path), "before": before, "after": after})


def converge(folder: Folder, *, dry: bool) -> Changes:
    """Makes the folder as described, or says only what would change."""
    if folder.stage:
        return _stage(folder, folder.stage, dry=dry)
    changes = Changes()
    for path in _folders(folder):
        _make_folder(path, folder.mode, changes, dry=dry)
    for name, content in sorted(folder.files.items()):
        check = folder.validate.get(name, "")
        _make_file(folder.path / name, content, folder.file_mode, changes, check, dry=dry)
    for path in surplus(folder):
        changes.record(changes.removed, path, "", "")
        if not dry:
            remove(path, folder.path)
    if folder.made and (changes or _is_older(folder.made, folder)):
        changes.record(changes.changed, folder.made, "", "")
        if not dry:
            _make(folder.made, folder.make)
    return changes


def _stage(folder: Folder, stage: Path, *, dry: bool) -> Changes:
    changes = converge(replace(folder, stage=None, exactly=()), dry=True) if folder.files else Changes()
    if changes and not dry:
        converge(replace(folder, stage=None, path=stage), dry=False)
    if not changes:
        for path in surplus(replace(folder, path=stage, files={})):
            changes.record(changes.removed, path, "", "")
            if not dry:
                remove(path, folder.path)
    return changes


def _is_older(made: Path, folder: Folder) -> bool:
    if not made.exists():
        return True
    files = (folder.path / name for name in folder.files)
    return any(path.exists() and path.stat().st_mtime > made.stat().st_mtime for path in files)


def _make(made: Path, command: tuple[str, ...]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise ContentRefused(f"{made}: {command[0]} says {done.stderr.strip()}; mend it on the host and run again")


def surplus(folder: Folder) -> list[Path]:
    """Files that match `exactly` and are not wanted."""
    wanted = {folder.path / name for name in folder.files}
    found = {path for pattern in folder.exactly for path in folder.path.glob(pattern)}
    return sorted(path for path in found - wanted if path.is_symlink() or not path.is_dir())


def remove(path: Path, top: Path) -> None:
    """Removes a file, and each folder between it and `top` that this leaves empty."""
    path.unlink(missing_ok=True)
    for parent in path.parents:
        if parent == top or any(parent.iterdir()):
            break
        parent.rmdir()


def _folders(folder: Folder) -> Iterable[Path]:
    below = {parent for name in folder.files for parent in Path(name).parents if parent != Path()}
    return [folder.path, *(folder.path / path for path in sorted(below))]


def _make_folder(path: Path, mode: int, changes: Changes, *, dry: bool) -> None:
    try:
        found = path.stat()
    except FileNotFoundError:
        changes.added.append(str(path))
        if not dry:
            path.mkdir(mode=mode, parents=True)
            path.chmod(mode)
        return
    if (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) != (mode, os.geteuid(), os.getegid()):
        changes.changed.append(str(path))
        if not dry:
            os.chown(path, os.geteuid(), os.getegid())
            path.chmod(mode)


def _make_file(path: Path, content: str, mode: int, changes: Changes, check: str, *, dry: bool) -> None:
    try:
        found = path.lstat()
        regular = stat.S_ISREG(found.st_mode)
        before = path.read_bytes() if regular else b""
    except FileNotFoundError:
        changes.record(changes.added, path, "", content)
    else:
        as_wanted = (mode, os.geteuid(), os.getegid())
        same = (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == as_wanted
        if regular and before == content.encode() and same:
            return
        changes.record(changes.changed, path, before.decode(errors="replace"), content)
    if not dry:
        _write(path, content, mode, check)


def _write(path: Path, content: str, mode: int, check: str) -> None:
    """Replaces a file at once: a reader sees the old content or the new one, and nobody else's mode."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode())
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        if check:
            _validate(path, name, check)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _validate(path: Path, candidate: str, check: str) -> None:
    command = [part.replace("%s", candidate) for part in shlex.split(check)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise ContentRefused(f"{path}: the new content is refused and the old one kept, as {command[0]} says: {said}")
