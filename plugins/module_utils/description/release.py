"""Names a release after what is in it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path as File

# What tools and tests leave in a checkout and no release needs. The role `app` copies the rest.
LEFT_OUT = (
    ".*",
    "__pycache__",
    "*.pyc",
    "*.egg-info",
    "venv",
    "node_modules",
    "htmlcov",
    "build",
    "staticfiles",
    "db.sqlite3",
    "celerybeat-schedule*",
)
DIGEST_LENGTH = 12


def release_files(source: File) -> Iterator[File]:
    """Every file of the release, sorted, relative to the source."""
    for folder, folders, files in os.walk(source):
        folders[:] = sorted(name for name in folders if not left_out(name))
        links = [name for name in folders if File(folder, name).is_symlink()]
        for name in sorted([*files, *links]):
            if not left_out(name):
                yield File(folder, name).relative_to(source)


def left_out(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in LEFT_OUT)


def release_version(source: File) -> str:
    digest = hashlib.sha256()
    for name in sorted(release_files(source)):
        path = source / name
        if path.is_symlink():
            kind, content = b"link", os.fsencode(path.readlink())
        elif path.is_file():
            kind, content = b"program" if os.access(path, os.X_OK) else b"file", path.read_bytes()
        else:
            continue
        for part in (os.fsencode(name), kind, content):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:DIGEST_LENGTH]
