"""Asks a host about exactly what the description places on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.stalk.celery.plugins.module_utils.status.questions import (
    expected_on,
    nodes_seen_from,
    questions,
)


class ActionModule(ActionBase):
    """Without arguments it asks for what the fact `stack` expects there; with arguments, for those."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Mapping[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        variables = dict(task_vars or {})
        host, stack = variables.get("inventory_hostname", ""), variables.get("stack", {})
        arguments = self._task.args or questions(
            expected_on(host, stack, variables["groups"]), stack, nodes_seen_from(host, stack, variables)
        )
        answer: dict[str, Any] = self._execute_module(
            "stalk.celery.component_status", module_args=arguments, task_vars=variables
        )
        return answer
