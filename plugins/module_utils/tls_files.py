"""Where a process of the app finds the files of TLS among its credentials, as variables of docs/contract.md. Pure."""

from __future__ import annotations

from collections.abc import Collection

# The private key of the component's own leaf.
LEAF_KEY = "CELERY_TLS_KEY"
# What a broker and a store of results of the user's own are trusted by and shown; no secret of the app has such a name.
EXTERNAL = {
    "broker.ca": "CELERY_TLS_CA",
    "broker.crt": "CELERY_TLS_CERT",
    "broker.key": "CELERY_TLS_KEY",
    "results.ca": "CELERY_RESULT_TLS_CA",
}


def tls_variables(credentials: Collection[str], folder: str) -> dict[str, str]:
    """Variable to its path in `folder`, for a process with these credentials beside the key of its leaf."""
    found = {"CELERY_TLS_KEY": LEAF_KEY, "PGSSLKEY": LEAF_KEY}
    found |= {variable: name for name, variable in EXTERNAL.items() if name in credentials}
    return {variable: f"{folder}/{name}" for variable, name in found.items()}
