"""Reads the variables that the plugins of a stack have in common."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible_collections.stalk.celery.plugins.module_utils.secrets_store import (
    FLOWER_USERS,
    SecretError,
    SecretsStore,
)


def secrets_store(variables: Mapping[str, Any], templar: Any) -> SecretsStore:
    given = templated("stalk_secrets", variables, templar)
    if given is None:
        given = {}
    if not isinstance(given, Mapping):
        raise SecretError("stalk_secrets: is no map; write `NAME: value` lines under it")
    return SecretsStore(state_folder(variables, templar) / "secrets", given, flower_users(variables))


def state_folder(variables: Mapping[str, Any], templar: Any) -> Path:
    """Where the control node keeps this stack's CA and secrets."""
    stated = templated("stalk_state", variables, templar)
    if stated:
        return Path(str(stated)).expanduser().absolute()
    inventory = variables.get("inventory_dir")
    if not inventory:
        raise SecretError(
            "stalk_state: is not set and the inventory is no file that it could lie beside; "
            "set it to a folder of the control node"
        )
    return Path(str(inventory)) / ".stalk"


def flower_users(variables: Mapping[str, Any]) -> str:
    """Name of the secret with Flower's users, which is made when absent; with OAuth there is none."""
    facts = variables.get("ansible_facts") or {}
    auth = (facts.get("stack") or {}).get("flower", {}).get("auth")
    if auth is None:
        return FLOWER_USERS
    return str(auth["secret"]) if auth["kind"] == "basic" else ""


def templated(name: str, variables: Mapping[str, Any], templar: Any) -> Any:
    if name not in variables:
        return None
    try:
        return templar.template(variables[name])
    except AnsibleError as error:
        raise SecretError(f"{name}: {' '.join(str(error).split())}; correct the variable") from None
