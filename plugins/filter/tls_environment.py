"""The files of TLS as a unit's Environment= names them."""

from __future__ import annotations

from collections.abc import Callable, Collection

from ansible_collections.stalk.celery.plugins.module_utils.tls_files import tls_variables

DOCUMENTATION = r"""
name: tls_environment
short_description: The files of TLS as a unit's Environment= names them
description:
  - The variables of docs/contract.md that name a file among the unit's credentials, for one that loads the key of its
    leaf as C(CELERY_TLS_KEY).
positional: _input
options:
  _input:
    description: Names of the other credentials that the unit loads.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Line of a unit
  ansible.builtin.debug:
    msg: "Environment={{ ['DATABASE_URL'] | stalk.celery.tls_environment }}"
"""

RETURN = r"""
_value:
  description: C(NAME=path) for each, with a space between.
  type: str
"""


def tls_environment(credentials: Collection[str]) -> str:
    return " ".join(f"{name}={path}" for name, path in tls_variables(credentials, "%d").items())


class FilterModule:
    def filters(self) -> dict[str, Callable[[Collection[str]], str]]:
        return {"tls_environment": tls_environment}
