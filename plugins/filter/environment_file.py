"""Variables as systemd's EnvironmentFile= reads them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

DOCUMENTATION = r"""
name: environment_file
short_description: Variables as systemd's EnvironmentFile= reads them
description:
  - One line for each variable, sorted by name, its value in quotes and as it is.
positional: _input
options:
  _input:
    description: Variable to value.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Environment
  ansible.builtin.copy:
    content: "{{ {'GREETING': 'Hello $you'} | stalk.celery.environment_file }}"
    dest: /etc/shop/web.env
    mode: "0644"
"""

RETURN = r"""
_value:
  description: Content of the file.
  type: str
"""


def environment_file(variables: Mapping[str, str]) -> str:
    return "".join(f"{name}={quoted(str(value))}\n" for name, value in sorted(variables.items()))


def quoted(value: str) -> str:
    return '"' + re.sub(r'([\\"$`])', r"\\\1", value) + '"'


class FilterModule:
    def filters(self) -> dict[str, Callable[[Mapping[str, str]], str]]:
        return {"environment_file": environment_file}
