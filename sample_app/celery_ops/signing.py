"""Messages that are signed, by Celery's serializer `auth`: who can write to the broker makes up no arguments of tasks.

What is signed is the body. The headers of a message, with its task's name, are not, nor is the moment: who can read and
write the broker may send a signed body again, to a task of another name too. Commands to workers are signed as tasks
are, so Flower needs the files as well. Events and results are plain JSON.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from celery import Celery
from celery.exceptions import SecurityError
from django.core.exceptions import ImproperlyConfigured

from celery_ops import environment

KEY = "CELERY_SECURITY_KEY"
CERTIFICATE = "CELERY_SECURITY_CERTIFICATE"
STORE = "CELERY_SECURITY_CERT_STORE"
VARIABLES = (KEY, CERTIFICATE, STORE)
DIGEST = "sha256"


class Files(NamedTuple):
    """Paths; the last is a folder, or a pattern, of the certificates whose messages are taken."""

    key: str
    certificate: str
    store: str


def settings() -> dict[str, Any]:
    """Empty without files."""
    found = Files(environment.secret_file(KEY), environment.readable_file(CERTIFICATE), environment.text(STORE))
    if not any(found):
        return {}
    for name, path in zip(VARIABLES, found, strict=True):
        if not path:
            raise ImproperlyConfigured(f"{name}: missing; signed messages need all of {', '.join(VARIABLES)}")
    if find_spec("cryptography") is None:
        raise ImproperlyConfigured(
            f"{KEY}: signed messages need the package cryptography; add it to requirements.txt, or take the files away"
        )
    check(found)
    return {
        **dict(zip(VARIABLES, found, strict=True)),
        "CELERY_SECURITY_DIGEST": DIGEST,
        "CELERY_TASK_SERIALIZER": "auth",
        "CELERY_ACCEPT_CONTENT": ["auth"],
        "CELERY_RESULT_ACCEPT_CONTENT": ["json"],
    }


def check(files: Files) -> None:
    """Whether a message that this process signs would be taken by one with the same files."""
    from celery.security.certificate import Certificate, FSCertStore
    from celery.security.key import PrivateKey
    from celery.security.serialization import SecureSerializer

    signer, signed_for = read(KEY, files.key, PrivateKey), read(CERTIFICATE, files.certificate, Certificate)
    try:
        certificates = FSCertStore(files.store)
    except (OSError, ValueError, SecurityError) as error:
        raise ImproperlyConfigured(
            f"{STORE}: {files.store} cannot be used ({error}); make it a folder with nothing but valid certificates"
        ) from None
    serializer = SecureSerializer(signer, signed_for, certificates, DIGEST)
    try:
        serializer.deserialize(serializer.serialize("a message"))
    except SecurityError as error:
        raise ImproperlyConfigured(
            f"{CERTIFICATE}: {files.certificate} is of another key, or not in {files.store} ({error}); "
            f"name the certificate of {KEY}, and put it there"
        ) from None


def read(name: str, path: str, kind: Any) -> Any:
    try:
        return kind(Path(path).read_text())
    except (OSError, ValueError, TypeError, SecurityError) as error:
        raise ImproperlyConfigured(
            f"{name}: {path} cannot be used ({error}); name an unencrypted PEM file of RSA that is in force"
        ) from None


def install(app: Celery) -> None:
    app.on_after_configure.connect(sign, sender=app)


def sign(sender: Any, **_: Any) -> None:
    if sender.conf.task_serializer == "auth":
        sender.setup_security()
