"""The stack's own CA in its Secret, and how another one follows it, a step with each run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from ansible_collections.stalk.celery.plugins.module_utils.certificates.authority import (
    CURRENT,
    NEXT,
    PREVIOUS,
    Authority,
    own_authority,
    pair_of,
)
from ansible_collections.stalk.celery.plugins.module_utils.certificates.authority_rotation import AuthorityRotation
from ansible_collections.stalk.celery.plugins.module_utils.secrets_store import random_text
from cryptography.hazmat.primitives import serialization
from kubernetes_secrets import Data, Refused

# The role of a CA, and what its keys in the Secret begin with.
PREFIXES = {CURRENT: "tls", NEXT: "next", PREVIOUS: "previous"}
GENERATION, STEPPED_AT = "generation", "stepped-at"
# A Secret that changed is in every pod within two minutes or three, and is followed there within another.
LEAST_BETWEEN_STEPS = timedelta(minutes=10)


@dataclass(frozen=True)
class AuthoritySecret:
    """`held` is what the Secret has; `generation` the number of the CA that is wanted."""

    held: Data
    name: str
    generation: int
    folder: Path
    now: datetime

    def converged(self) -> tuple[Authority, Data]:
        """The CA, made when there is none, and what the Secret is to have."""
        passphrase = random_text()
        for key, path in self.files():
            if key in self.held:
                path.write_text(self.held[key])
        rotation = AuthorityRotation(self.folder, self.name, lambda: passphrase, self.now)
        step = self.step(rotation)
        authority = own_authority(self.folder, self.name, lambda: passphrase, self.now, make=True)
        if authority is None:
            raise Refused(f"{self.name}: could not be made; run again")
        data = {key: plain(path, passphrase) for key, path in self.files() if path.exists()}
        if not self.held or step:
            data[GENERATION] = str(self.generation)
        elif GENERATION in self.held:
            data[GENERATION] = self.held[GENERATION]
        stepped_at = self.now.isoformat() if step else self.held.get(STEPPED_AT)
        if step:
            print(f"{self.name}: {step}", flush=True)
        return authority, data | ({STEPPED_AT: stepped_at} if stepped_at else {})

    def files(self) -> list[tuple[str, Path]]:
        """Each key of the Secret that is a part of a CA, and its file."""
        return [
            (f"{prefix}{path.suffix}", path) for role, prefix in PREFIXES.items() for path in pair_of(self.folder, role)
        ]

    def step(self, rotation: AuthorityRotation) -> str:
        """What was done to have another CA; empty when there is nothing to do, or not yet."""
        stepped_at = self.held.get(STEPPED_AT)
        if stepped_at and self.now - datetime.fromisoformat(stepped_at) < LEAST_BETWEEN_STEPS:
            return ""
        if rotation.alone():
            return "the one before is trusted no more"
        if rotation.signing():
            return "the new one signs"
        if self.held and int(self.held.get(GENERATION, "1")) < self.generation and rotation.announced():
            return "a new one is trusted too"
        return ""


def plain(path: Path, passphrase: str) -> str:
    """A key without its passphrase, as the Secret keeps it."""
    text = path.read_text()
    if "ENCRYPTED" not in text:
        return text
    key = serialization.load_pem_private_key(text.encode(), passphrase.encode())
    pem: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem.decode()
