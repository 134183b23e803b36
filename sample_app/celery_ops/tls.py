"""The files of mutual TLS, for the broker and the results, and what a URL has to say where there are some."""

from __future__ import annotations

from typing import NamedTuple

from django.core.exceptions import ImproperlyConfigured

from celery_ops import environment

VARIABLES = ("CELERY_TLS_CA", "CELERY_TLS_CERT", "CELERY_TLS_KEY")
SECURE = {"redis": "rediss", "amqp": "amqps"}
"""Of each scheme that is plain text, the one that is not."""
ALWAYS_SECURE = ("sentinel",)


class Files(NamedTuple):
    """Paths; the last two are empty where the server asks for no certificate, all three without TLS."""

    ca: str
    certificate: str
    key: str


def results(broker: Files) -> Files:
    """Those of a store of results that is not where the broker is; else the broker's."""
    ca = environment.readable_file("CELERY_RESULT_TLS_CA")
    return Files(ca, "", "") if ca else broker


def files() -> Files:
    found = Files(*(environment.readable_file(name) for name in VARIABLES))
    needed = VARIABLES if found.certificate or found.key else VARIABLES[:1]
    missing = [name for name, path in zip(needed, found, strict=False) if not path]
    if any(found) and missing:
        raise ImproperlyConfigured(
            f"{missing[0]}: missing; TLS needs CELERY_TLS_CA, mutual TLS all of {', '.join(VARIABLES)}"
        )
    return found


def check_scheme(name: str, scheme: str, files: Files) -> None:
    # Without a CA the connection verifies nothing; Redis' says so in the log alone (kombu/connection.py).
    if scheme in (*SECURE.values(), *ALWAYS_SECURE) and not files.ca:
        raise ImproperlyConfigured(f"{name}: {scheme}:// verifies nothing without a CA; set CELERY_TLS_CA")
    if scheme in SECURE and files.ca:
        raise ImproperlyConfigured(
            f"{name}: {scheme}:// is plain text although CELERY_TLS_* are set; write {SECURE[scheme]}://"
        )
