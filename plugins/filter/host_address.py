"""How the other hosts of the inventory know a host."""

from __future__ import annotations

DOCUMENTATION = r"""
name: host_address
short_description: Address of a host for the others
description:
  - C(stack_address), else C(ansible_host), else the host's name in the inventory.
positional: _input
options:
  _input:
    description: The host's variables, as in C(hostvars).
    type: dict
    required: true
"""

EXAMPLES = r"""
address: "{{ hostvars.data1 | stalk.celery.host_address }}"
"""

RETURN = r"""
_value:
  description: The address.
  type: str
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.host_address import host_address


class FilterModule:
    def filters(self) -> dict[str, Callable[[Mapping[str, Any]], str]]:
        return {"host_address": host_address}
