"""The one error of this package: what is wrong where, and what to do about it, in one line."""

from __future__ import annotations


class CertificateRefusal(Exception):
    def __init__(self, subject: str, reason: str, remedy: str) -> None:
        super().__init__(f"{subject}: {reason}; {remedy}")
