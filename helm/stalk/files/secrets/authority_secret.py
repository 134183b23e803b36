"""The stack's own CA in its Secret, and how another one follows it, a step with each run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.certificates.authority import (
    CURRENT,
    NEXT,
    PREVIOUS,
    Authority,
    own_authority,
    pair_of,
)
from ansible_collections.stalk.celery.plugins.module_utils.certificates.authority_rotation import AuthorityRotation
from ansible_collections.stalk.celery.plugins.module_utils.certificates.refusal import CertificateRefusal
from ansible_collections.stalk.celery.plugins.module_utils.secrets_store import random_text
from cryptography.hazmat.primitives import serialization
from kubernetes_secrets import Data, Refused

# The role of a CA, and what its keys in the Secret begin with.
PREFIXES = {CURRENT: "tls", NEXT: "next", PREVIOUS: "previous"}
GENERATION, SPREAD_AT = "generation", "spread-at"
# A Secret that changed is in every pod within two minutes or three, and is followed there within another.
LEAST_BETWEEN_STEPS = timedelta(minutes=10)


@dataclass(frozen=True)
class AuthoritySecret:
    """`held` is what the Secret has; `plan` has the name of the CA, and the number of the one that is wanted."""

    secret: str
    held: Data
    plan: Mapping[str, Any]
    folder: Path
    now: datetime

    def unpack(self) -> None:
        for key, path in self.files.items():
            if key in self.held:
                path.write_text(self.held[key])

    def authority(self) -> Authority:
        """Made when there is none."""
        try:
            made = own_authority(self.folder, self.plan["authority"], lambda: self.passphrase, self.now, make=True)
        except CertificateRefusal as refusal:
            said = str(refusal)
            for key, path in self.files.items():
                said = said.replace(str(path), f"Secret {self.secret}: {key}")
            raise Refused(f"{said}, or raise tls.kubernetes.generation for another CA") from None
        if made is None:
            raise Refused(f"Secret {self.secret}: the CA could not be made; run again")
        return made

    def step(self) -> str:
        """What was done to have another CA; empty when nothing was, as pods may not have what the last one changed."""
        rotation = AuthorityRotation(self.folder, self.plan["authority"], lambda: self.passphrase, self.now)
        if self.is_under_way:
            if self.now - self.spread_at < LEAST_BETWEEN_STEPS:
                return ""
            if rotation.alone():
                return "the one before is trusted no more"
            return "the new one signs" if rotation.signing() else ""
        return "a new one is trusted too" if self.is_asked_for and rotation.announced() else ""

    def data(self, step: str, *, has_spread: bool = False) -> Data:
        """What the Secret is to have; `has_spread` where leaves were written that an earlier step changed."""
        data = {key: value for key, value in self.held.items() if key not in self.files}
        data |= {key: plain(path, self.passphrase) for key, path in self.files.items() if path.exists()}
        if not self.held or (step and not self.is_under_way):
            data[GENERATION] = str(self.plan["generation"])
        if step or has_spread or (self.is_under_way and SPREAD_AT not in self.held):
            data[SPREAD_AT] = self.now.isoformat()
        return data

    @cached_property
    def passphrase(self) -> str:
        return random_text()

    @cached_property
    def files(self) -> dict[str, Path]:
        """Each key of the Secret that is a part of a CA, and its file."""
        roles = ((prefix, pair_of(self.folder, role)) for role, prefix in PREFIXES.items())
        return {f"{prefix}{path.suffix}": path for prefix, pair in roles for path in pair}

    @property
    def is_under_way(self) -> bool:
        return any(f"{PREFIXES[role]}.crt" in self.held for role in (NEXT, PREVIOUS))

    @property
    def is_asked_for(self) -> bool:
        return bool(self.held) and int(self.held.get(GENERATION, "1")) < self.plan["generation"]

    @property
    def spread_at(self) -> datetime:
        try:
            return datetime.fromisoformat(self.held.get(SPREAD_AT, self.now.isoformat()))
        except ValueError:
            raise Refused(f"Secret {self.secret}: {SPREAD_AT} is no time; remove it") from None


def plain(path: Path, passphrase: str) -> str:
    """A key without its passphrase, as the Secret keeps it."""
    text = path.read_text()
    if "ENCRYPTED" not in text:
        return text
    return pem_of(serialization.load_pem_private_key(text.encode(), passphrase.encode()))


def pem_of(key: Any) -> str:
    pem: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem.decode()
