"""Moves messages until there are none, and says how it goes on."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.stalk.celery.plugins.module_utils.preflight import names

display = Display()


class ActionModule(ActionBase):
    """Arguments are those of the module."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = {**self._task.args, "abandoned": names(self._task.args.get("abandoned"))}
        moved: Counter[str] = Counter()
        while True:
            answer: dict[str, Any] = self._execute_module(
                "stalk.celery.move_messages", module_args=arguments, task_vars=task_vars
            )
            if answer.get("failed") or answer.get("unreachable") or "moved" not in answer:
                return answer
            moved.update(answer["moved"])
            if answer["complete"]:
                return {**answer, "changed": bool(moved), "moved": dict(moved)}
            display.display(f"{moved.total()} messages of {arguments['component']} are moved, there are more")
