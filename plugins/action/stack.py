"""Reads, merges and checks a description on the control node; connects to nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.stalk.celery.plugins.module_utils.description.describe import describe, surroundings_of
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Refused


class ActionModule(ActionBase):
    """`stalk.celery.stack: {files: [stack.yml, production.yml]}` returns the fact `stack`."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False
    _requires_connection = False
    _VALID_ARGS = frozenset(("files",))

    def run(self, tmp: str | None = None, task_vars: Mapping[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        try:
            stack = describe(self._task.args.get("files"), Path.cwd(), surroundings_of(task_vars.get("groups", {}), {}))
        except Refused as refused:
            count = len(refused.lines)
            heading = f"The description is refused for {'this reason' if count == 1 else f'these {count} reasons'}"
            return {**result, "failed": True, "msg": "\n".join([f"{heading}; nothing was changed.", *refused.lines])}
        return {**result, "changed": False, "ansible_facts": {"stack": stack}}
