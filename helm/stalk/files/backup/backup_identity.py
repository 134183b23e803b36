"""The private key of a stack's backups, and files that it opens."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Any, Protocol

from ansible_collections.stalk.celery.plugins.module_utils.backups import BackupRefused
from ansible_collections.stalk.celery.plugins.module_utils.secrets_store import SecretsStore

IDENTITY = "BACKUP_IDENTITY"


def age() -> Any:
    try:
        import pyrage
    except ImportError:
        raise BackupRefused(
            "pyrage: is missing; run `pip install pyrage` in Ansible's environment, or add it to the image of the app"
        ) from None
    return pyrage


def new_identity() -> str:
    return str(age().x25519.Identity.generate())


class Writer(Protocol):
    def write(self, block: bytes) -> int: ...

    def flush(self) -> None: ...


class Kept:
    """A writer whose error age would tell as one of its own."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.error: OSError | None = None

    def write(self, block: bytes) -> int:
        try:
            return self.writer.write(block)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self.writer.flush()


class Digest:
    """Where a decrypted file goes: nowhere."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()

    def write(self, block: bytes) -> int:
        self.sha256.update(block)
        return len(block)

    def flush(self) -> None:
        pass


class BackupIdentity:
    def __init__(self, text: str) -> None:
        try:
            self._identity = age().x25519.Identity.from_str(text)
        except age().IdentityError:
            raise BackupRefused(
                f"secret {IDENTITY}: is no private key of age; write the AGE-SECRET-KEY-1… that made the backups"
            ) from None
        self.text = text

    @classmethod
    def of(cls, store: SecretsStore, *, make: bool) -> BackupIdentity:
        """The one of the stack; with `make` a new one where there is none."""
        text = store.existing(IDENTITY)
        if text is None and make:
            text = store.keep(IDENTITY, new_identity())
        if text is None:
            raise BackupRefused(
                f"secret {IDENTITY}: is neither in stalk_secrets nor in {store.folder / IDENTITY}, and without it no "
                "backup can be read; bring it back"
            )
        return cls(text)

    @property
    def recipient(self) -> str:
        return str(self._identity.to_public())

    def code(self, text: str) -> str:
        """Of a text that whoever has this key wrote."""
        key = hashlib.sha256(f"manifest {self.text}".encode()).digest()
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()

    def digest(self, sealed: Path) -> str:
        """SHA-256 of the plain text, decrypted to its end."""
        digest = Digest()
        self.open(sealed, digest)
        return digest.sha256.hexdigest()

    def open(self, sealed: Path, plain: Writer) -> None:
        """Decrypts it to its end."""
        kept = Kept(plain)
        with sealed.open("rb") as file:
            try:
                age().decrypt_io(file, kept, [self._identity])
            except (age().DecryptError, OSError) as error:
                refused = BackupRefused(f"{sealed.name}: cannot be decrypted ({error}); run it again")
                raise kept.error or refused from None
