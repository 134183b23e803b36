"""Finds secrets written where everybody can read them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.description.merge import present
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Path, Problem

SECRET_NAME = re.compile(
    r"SECRET|PASSW(OR)?D|PASSPHRASE|CREDENTIAL|(^|_)(API_?|ACCESS_?|PRIVATE_?|SIGNING_?|ENCRYPTION_?)?KEY$"
    r"|(^|_)(TOKEN|PWD|DSN|AUTH)$|TOKENS?$"
)
# What a name ending so says about the secret without being it.
HARMLESS_NAME = re.compile(r"(PUBLIC_KEY|_(FILE|PATH|DIR|NAME|PREFIX|HEADER|AGE|TTL|SECONDS|TIMEOUT|ENABLED))$")
HARMLESS_VALUE = re.compile(r"|[0-9.]+|true|false|yes|no", re.IGNORECASE)
SECRET_VALUE = re.compile(
    r"[a-zA-Z][a-zA-Z0-9+.-]*://[^\s/@:]*:[^\s/@]+@"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|\b(AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|\b(ghp|gho|ghs|github_pat|glpat|sk_live|rk_live|xox[abprs])[-_][A-Za-z0-9_-]{10,}"
    r"|\$ANSIBLE_VAULT;"
)


def holds_secret(value: str) -> bool:
    return bool(SECRET_VALUE.search(value))


def names_secret(name: str, value: Any) -> bool:
    upper = name.upper()
    if isinstance(value, bool) or HARMLESS_VALUE.fullmatch(str(value).strip()) or HARMLESS_NAME.search(upper):
        return False
    return bool(SECRET_NAME.search(upper))


def environments(values: Mapping[str, Any]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Every map of plain variables, with its path."""
    yield ("app", "env"), values["app"]["env"]
    yield ("pool_defaults", "env"), present(values["pool_defaults"]["env"])
    for name, pool in values["pools"].items():
        yield ("pools", name, "env"), present(pool.get("env", {}))


def clear_text_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    for path, environment in environments(values):
        for name, value in environment.items():
            if isinstance(value, str) and holds_secret(value):
                reason = "the value holds a secret in clear text"
            elif names_secret(name, value):
                reason = "the name says that this is a secret, and here it is clear text"
            else:
                continue
            yield Problem(
                (*path, name),
                reason,
                f"remove it, add {name} to app.secrets and its value to stalk_secrets (ansible-vault)",
            )
