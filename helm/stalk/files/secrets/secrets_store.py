"""Keeps the secrets of a stack on the control node: given ones, stored ones, and those that Stalk makes."""

from __future__ import annotations

import os
import re
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ALPHABET = string.ascii_letters + string.digits
LENGTH = 40
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
GENERATED = re.compile(
    r"DJANGO_SECRET_KEY|(REDIS|RABBITMQ)_PASSWORD_[A-Za-z0-9_]+|RABBITMQ_ERLANG_COOKIE|DATABASE_PASSWORD"
    r"|PKI_CA_PASSPHRASE|FLOWER_COOKIE_SECRET|BACKUP_IDENTITY"
)
FLOWER_USERS = "flower-users"


class SecretError(Exception):
    """One line: which secret, why not, what to do."""


def random_text() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def is_generated(name: str, users: str = FLOWER_USERS) -> bool:
    """Whether Stalk makes the secret when nobody gave one; `users` names the one with Flower's users."""
    return name == users or bool(GENERATED.fullmatch(name))


@dataclass(frozen=True)
class SecretsStore:
    """`given` comes first (variable stalk_secrets), then a file of the folder, then a new random value."""

    folder: Path
    given: Mapping[str, object] = field(default_factory=dict)
    users: str = FLOWER_USERS

    def existing(self, name: str) -> str | None:
        if not NAME.fullmatch(name):
            raise SecretError(
                f"secret {name[:100]!r}: is no name of a secret; write 1 to 100 of A-Z, a-z, 0-9, '_', '.' and '-'"
            )
        if name in self.given:
            return self.checked(name, self.given[name], f"stalk_secrets.{name}")
        path = self.folder / name
        try:
            return self.checked(name, path.read_text(encoding="utf-8"), str(path))
        except FileNotFoundError:
            return None
        except UnicodeDecodeError:
            raise SecretError(f"secret {name}: {path} is not UTF-8 text; write it again as text") from None
        except OSError as error:
            raise SecretError(
                f"secret {name}: {path} cannot be read ({error.strerror}); correct its owner and mode"
            ) from None

    def all(self) -> dict[str, str]:
        """Every secret that exists. Raises one error with a line for each that cannot be used."""
        found: dict[str, str] = {}
        errors: list[str] = []
        try:
            stored = [path.name for path in self.folder.iterdir() if not path.name.startswith(".")]
        except FileNotFoundError:
            stored = []
        except OSError as error:
            raise SecretError(
                f"stalk_state: {self.folder} cannot be read ({error.strerror}); correct its owner and mode"
            ) from None
        for name in sorted({*map(str, self.given), *stored}):
            try:
                found[name] = self.existing(name) or ""
            except SecretError as error:
                errors.append(str(error))
        if errors:
            raise SecretError("\n".join(errors))
        return found

    @staticmethod
    def checked(name: str, value: object, where: str) -> str:
        if not isinstance(value, str):
            raise SecretError(f"secret {name}: {where} is no text; put it in quotes")
        value = str(value).rstrip("\r\n")
        if not value:
            raise SecretError(f"secret {name}: {where} is empty; give it a value, or remove it")
        return value

    def get(self, name: str, *, save: bool = True) -> str:
        """The value, made when Stalk owns the secret; without `save` a new value is forgotten (check mode)."""
        value = self.existing(name)
        if value is not None:
            return value
        if not is_generated(name, self.users):
            raise SecretError(
                f"secret {name}: is neither in the variable stalk_secrets nor in {self.folder / name}, and Stalk does "
                "not make it; add it to stalk_secrets (ansible-vault)"
            )
        made = f"admin:{random_text()}" if name == self.users else random_text()
        return self.keep(name, made) if save else made

    def keep(self, name: str, value: str) -> str:
        """Stores a new value whole or not at all; of several processes the first one's value holds for all."""
        path = self.folder / name
        draft = self.folder / f".{name}.{os.getpid()}.{secrets.token_hex(4)}"
        try:
            self.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.mkdir(mode=0o700, exist_ok=True)
            self.folder.chmod(0o700)
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                    file.write(value + "\n")
                    file.flush()
                    os.fsync(file.fileno())
                first = link_unless_there(draft, path)
            finally:
                draft.unlink(missing_ok=True)
        except OSError as error:
            raise SecretError(
                f"secret {name}: {path} cannot be written ({error.strerror}); correct owner, mode and free space of "
                f"{self.folder}, or give the secret in stalk_secrets"
            ) from None
        return value if first else self.existing(name) or value


def link_unless_there(draft: Path, path: Path) -> bool:
    """A link fails when the name exists, where a rename would put this value over another's."""
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    return True
