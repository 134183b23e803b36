"""The source tree of a Django project: which files make a release, and their archive."""

from __future__ import annotations

import gzip
import hashlib
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

NOT_SHIPPED = frozenset(
    {".git", ".hg", ".venv", "venv", "node_modules", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache"}
)
NOT_SHIPPED_ENDINGS = (".pyc", ".pyo", ".sqlite3", ".key")
NOT_SHIPPED_BEGINNING = ".env"
PRIVATE_KEY = b"PRIVATE KEY-----"
NEEDED = ("manage.py", "requirements.txt")


def missing_files(source: Path) -> list[str]:
    return [name for name in NEEDED if not (source / name).is_file()]


def shipped_files(source: Path) -> list[Path]:
    """Regular files and symbolic links below the source, in an order that does not depend on the disk."""
    return sorted(_walk(source), key=lambda path: path.relative_to(source).as_posix())


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name in NOT_SHIPPED or path.name.endswith(NOT_SHIPPED_ENDINGS) or _is_secret(path):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)
        elif path.is_symlink() or path.is_file():
            yield path


def _is_secret(path: Path) -> bool:
    """Secrets come by the stack's own way, never with the code; a .pem may also be a certificate, which is none."""
    if path.name.startswith(NOT_SHIPPED_BEGINNING):
        return True
    return path.suffix == ".pem" and path.is_file() and PRIVATE_KEY in path.read_bytes()


def digest(source: Path) -> str:
    """The same for the same files, names and executable bits, whenever and wherever they were checked out."""
    total = hashlib.sha256()
    for path in shipped_files(source):
        content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        name = path.relative_to(source).as_posix().encode()
        total.update(b"%d %d %s %d\0" % (path.is_symlink(), _mode(path), name, len(content)))
        total.update(content)
    return total.hexdigest()


def write_archive(source: Path, target: IO[bytes]) -> None:
    """Writes a tar.gz that is byte for byte the same for the same source."""
    with (
        gzip.GzipFile(fileobj=target, filename="", mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in shipped_files(source):
            entry = archive.gettarinfo(path, arcname=path.relative_to(source).as_posix())
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = "root"
            entry.mtime = 0
            entry.mode = _mode(path)
            if entry.isreg():
                with path.open("rb") as content:
                    archive.addfile(entry, content)
            else:
                archive.addfile(entry)


def _mode(path: Path) -> int:
    return 0o755 if path.lstat().st_mode & stat.S_IXUSR else 0o644
