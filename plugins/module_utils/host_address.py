"""How the other hosts of the inventory know a host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def host_address(variables: Mapping[str, Any]) -> str:
    for name in ("stack_address", "ansible_host", "inventory_hostname"):
        if value := variables.get(name):
            return str(value)
    raise ValueError("these are no variables of a host")
