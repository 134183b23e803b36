"""The filter `common_releases`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

DOCUMENTATION = r"""
name: common_releases
short_description: The releases that came up on every host
description:
  - Those of which every host tells that they did, and still are there, the newest first.
options:
  _input:
    description: What M(stalk.celery.release_info) tells of each host.
    type: list
    elements: dict
    required: true
author: [Stalk developers]
"""

EXAMPLES = r"""
- ansible.builtin.debug:
    msg: "{{ ansible_play_hosts | map('extract', hostvars, 'told') | stalk.celery.common_releases }}"
"""

RETURN = r"""
_value: {description: Their versions., type: list, elements: str}
"""


def common_releases(told: Iterable[Mapping[str, Any]]) -> list[str]:
    hosts = list(told)
    first = hosts[0]["releases"] if hosts else []
    return [version for version in first if all(version in host["releases"] for host in hosts)]


class FilterModule:
    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"common_releases": common_releases}
