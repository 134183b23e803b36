"""A password as RabbitMQ keeps it."""

from __future__ import annotations

import hashlib
from base64 import b64encode

SALT_BYTES = 4


def rabbitmq_password_hash(password: str, user: str) -> str:
    """The digest of rabbit_password_hashing_sha256 (rabbitmq.com/docs/passwords#computing-password-hash). Its salt
    follows from both, so that a second run changes nothing."""
    salt = hashlib.sha256(f"{user}\0{password}".encode()).digest()[:SALT_BYTES]
    return b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
