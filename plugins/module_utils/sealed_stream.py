"""What leaves or enters a host as an encrypted file, by age; the plain text goes through pipes alone."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ansible_collections.stalk.celery.plugins.module_utils.backups import readable

BLOCK = 1 << 20


class CommandFailed(Exception):
    """What a command said as it failed, in one line."""


@dataclass(frozen=True)
class Sealed:
    """`plain` is the SHA-256 of the plain text and `space` its bytes, the others are of the encrypted file."""

    size: int
    sha256: str
    plain: str
    space: int


def one_line(said: str) -> str:
    return "; ".join(line.strip() for line in said.splitlines() if line.strip())


@contextmanager
def running(
    arguments: Sequence[str],
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
) -> Iterator[subprocess.Popen[bytes]]:
    """A command that has ended well when the block is left; one that is left by an error is ended."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(arguments, stdin=stdin, stdout=stdout, stderr=said)
        has_read_all = True
        try:
            yield process
            close(process.stdin)
        except BrokenPipeError:
            has_read_all = False
            close(process.stdin)
        except BaseException:
            process.kill()
            process.wait()
            raise
        if process.wait() or not has_read_all:
            said.seek(0)
            words = one_line(said.read().decode(errors="replace")) or f"ended with {process.returncode}"
            raise CommandFailed(f"{arguments[0]}: {words.removeprefix(f'{arguments[0]}: ')}")


def close(pipe: IO[bytes] | None) -> None:
    if pipe:
        with suppress(BrokenPipeError):
            pipe.close()


def blocks(source: IO[bytes]) -> Iterator[bytes]:
    while block := source.read(BLOCK):
        yield block


def offered(source: Iterable[bytes], reader: IO[bytes]) -> Iterator[bytes]:
    """The same blocks, each given first to a reader who need not read to the end."""
    reads = True
    for block in source:
        if reads:
            try:
                reader.write(block)
            except BrokenPipeError:
                reads = False
        yield block
    close(reader)


def seal(plain: Iterable[bytes], recipient: str, target: Path) -> Sealed:
    """Encrypts to a public key. The file is for the login user to fetch, who is not root."""
    digest, space = hashlib.sha256(), 0
    with target.open("xb") as file:
        target.chmod(0o644)
        with running(["age", "--encrypt", "--recipient", recipient], subprocess.PIPE, file) as age:
            assert age.stdin
            for block in plain:
                digest.update(block)
                space += len(block)
                age.stdin.write(block)
    with target.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Sealed(target.stat().st_size, sha256, digest.hexdigest(), space)


def check_space(folder: Path, space: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < space:
        raise CommandFailed(f"{folder} has {readable(free)} free, and it takes {readable(space)}")


@contextmanager
def unsealed(sealed: Path, identity: str) -> Iterator[IO[bytes]]:
    """The plain text; the private key is on no disk."""
    arguments = ["age", "--decrypt", "--identity", "-", str(sealed)]
    with running(arguments, subprocess.PIPE, subprocess.PIPE) as age:
        assert age.stdin
        assert age.stdout
        age.stdin.write(identity.encode() + b"\n")
        age.stdin.close()
        yield age.stdout
        for _ in blocks(age.stdout):
            # It tells only at the end whether all was there.
            pass
