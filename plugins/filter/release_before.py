"""The filter `release_before`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

DOCUMENTATION = r"""
name: release_before
short_description: The release that a rollback goes back to
description:
  - The newest release that came up on every host before the newest one that is current on some host.
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
    msg: "{{ ansible_play_hosts | map('extract', hostvars, 'told') | stalk.celery.release_before }}"
"""

RETURN = r"""
_value: {description: Its version; empty when there is none., type: str}
"""

from ansible_collections.stalk.celery.plugins.filter.common_releases import common_releases


def release_before(told: Iterable[Mapping[str, Any]]) -> str:
    hosts = list(told)
    common = common_releases(hosts)
    # What did not come up everywhere is newer than all that did.
    newest = min((_place(host, common) for host in hosts), default=-1)
    older = common[newest + 1 :]
    return older[0] if older else ""


def _place(host: Mapping[str, Any], common: list[str]) -> int:
    """Of the current release; before it where its rollout did not come to an end, so that a further run ends it."""
    return common.index(host["current"]) - bool(host["before"]) if host["current"] in common else -1


class FilterModule:
    def filters(self) -> dict[str, Callable[..., str]]:
        return {"release_before": release_before}
