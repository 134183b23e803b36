"""One CA follows another: every process trusts both, then the new one signs, then the old one goes.

What lies in the folder says how far that is, so that a run which was interrupted is gone on with.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ansible_collections.stalk.celery.plugins.module_utils.certificates.authority import (
    CURRENT,
    NEXT,
    PREVIOUS,
    Passphrase,
    make_authority,
    pair_of,
    write,
)
from ansible_collections.stalk.celery.plugins.module_utils.certificates.leaves import read_certificate


@dataclass(frozen=True)
class AuthorityRotation:
    """`name` gets the time behind it, so that no CA is called as the one before."""

    directory: Path
    name: str
    passphrase: Passphrase
    now: datetime
    dry: bool = False

    def announced(self) -> bool:
        """A CA to come is there, unless it signs already; it does at once where the one before has expired."""
        current, coming, previous = map(self._certificate, (CURRENT, NEXT, PREVIOUS))
        if coming.exists() and previous.exists():
            # It was interrupted while it became the one that signs.
            return self.signing()
        is_expired = current.exists() and self._has_expired(current)
        if not current.exists() or previous.exists() or (coming.exists() and not is_expired):
            return False
        if not self.dry:
            make_authority(self.directory, NEXT, f"{self.name} {self.now:%Y-%m-%d %H:%M}", self.passphrase, self.now)
            if is_expired:
                self.signing()
                self.alone()
        return True

    def signing(self) -> bool:
        """The CA to come is the one that signs."""
        certificate, key = pair_of(self.directory, NEXT)
        if not certificate.exists():
            return False
        if not self.dry:
            current, current_key = pair_of(self.directory, CURRENT)
            write(self._certificate(PREVIOUS), current.read_bytes(), 0o644)
            # The certificate comes last: as long as it is there, this is done again.
            if key.exists():
                key.replace(current_key)
            certificate.replace(current)
        return True

    def alone(self) -> bool:
        """Nothing is left of the CA before."""
        previous = self._certificate(PREVIOUS)
        if not previous.exists():
            return False
        if not self.dry:
            previous.unlink()
        return True

    def _certificate(self, role: str) -> Path:
        return pair_of(self.directory, role)[0]

    def _has_expired(self, path: Path) -> bool:
        certificate = read_certificate(path.read_text())
        return certificate is not None and certificate.not_valid_after_utc <= self.now
