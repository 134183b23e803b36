"""Reads the contract between Stalk and an app: variables, and secrets that may be files.

A secret NAME is the variable NAME, else the file $CREDENTIALS_DIRECTORY/NAME (systemd's LoadCredential=,
a mounted Secret on Kubernetes). An empty variable counts as absent.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.core.exceptions import ImproperlyConfigured


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, "").strip() or default


def required(name: str, remedy: str) -> str:
    if value := text(name):
        return value
    raise ImproperlyConfigured(f"{name}: missing; {remedy}")


def secret(name: str, default: str = "") -> str:
    """The secret, or `default` when neither the variable nor the file exists."""
    if value := os.environ.get(name, "").rstrip("\n"):
        return value
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    if not folder:
        return default
    try:
        return (Path(folder) / name).read_text(encoding="utf-8").rstrip("\n") or default
    except FileNotFoundError:
        return default
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ImproperlyConfigured(
            f"{name}: $CREDENTIALS_DIRECTORY/{name} cannot be read ({reason}); "
            "make it a text file that this process may read"
        ) from None


def required_secret(name: str, remedy: str) -> str:
    if value := secret(name):
        return value
    raise ImproperlyConfigured(
        f"{name}: neither the variable nor the file $CREDENTIALS_DIRECTORY/{name} is set; {remedy}"
    )


def flag(name: str, default: bool = False) -> bool:
    value = text(name)
    if value not in ("", "0", "1"):
        raise ImproperlyConfigured(f"{name}: {value!r} is neither 0 nor 1; set one of them")
    return value == "1" if value else default


def seconds(name: str, default: int, least: int = 1) -> int:
    value = text(name)
    if not value:
        return default
    if not value.isdecimal() or int(value) < least:
        raise ImproperlyConfigured(f"{name}: {value!r} is not a whole number of seconds; set it to {least} or more")
    return int(value)


def names(name: str) -> list[str]:
    return [part.strip() for part in text(name).split(",") if part.strip()]


def json_object(name: str, hint: str) -> dict[str, Any]:
    value = text(name)
    if not value:
        return {}
    try:
        parsed = json.loads(value)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: not JSON ({error}); {hint}") from None
    if not isinstance(parsed, dict):
        raise ImproperlyConfigured(f"{name}: a JSON {type(parsed).__name__}; {hint}")
    return parsed


def readable_file(name: str) -> str:
    """The path that the variable holds, after it was seen to be a file that this process can read."""
    path = text(name)
    if not path:
        return ""
    try:
        with Path(path).open("rb"):
            return path
    except OSError as error:
        raise ImproperlyConfigured(
            f"{name}: {path} cannot be read ({error.strerror}); name a PEM file that can"
        ) from None


def secret_file(name: str) -> str:
    """The path of a secret that others read: the variable's, else $CREDENTIALS_DIRECTORY/NAME where that is there."""
    if path := readable_file(name):
        return path
    credential = Path(os.environ.get("CREDENTIALS_DIRECTORY") or "/nonexistent") / name
    return str(credential) if credential.is_file() else ""


def url(name: str, schemes: tuple[str, ...], value: str) -> SplitResult:
    """The parsed URL; the message never repeats it, for it may hold a password."""
    try:
        parsed = urlsplit(value)
        _ = parsed.port
    except ValueError:
        parsed = SplitResult("", "", "", "", "")
    if parsed.scheme not in schemes or not parsed.hostname:
        raise ImproperlyConfigured(
            f"{name}: not a URL of the form {'|'.join(schemes)}://user:password@host:port/…; "
            "set one and percent-encode special characters in its password"
        )
    return parsed


def urls(name: str, schemes: tuple[str, ...], value: str) -> list[SplitResult]:
    """The URLs of `value`, separated by semicolons as kombu wants them; all have one scheme."""
    first, *others = value.split(";")
    parsed = url(name, schemes, first)
    return [parsed, *(url(name, (parsed.scheme,), other) for other in others)]
