"""Asks the broker that the stack leaves what it still has, on its host."""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.stalk.celery.plugins.module_utils.leaving_broker import (
    leaving_problem,
    left_question,
    lists_of,
    still_has,
)
from ansible_collections.stalk.celery.plugins.module_utils.memory import MemoryUnreadable, recall
from ansible_collections.stalk.celery.plugins.module_utils.preflight import names
from ansible_collections.stalk.celery.plugins.module_utils.secrets_store import SecretError
from ansible_collections.stalk.celery.plugins.module_utils.stack_variables import state_folder, templated
from ansible_collections.stalk.celery.plugins.module_utils.stranded import SECONDS_UNTIL_COUNTED


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset(("component", "ended", "kept"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        stack, component = variables["stack"], self._task.args["component"]
        ended = bool(self._task.args.get("ended"))
        if ended and component == "rabbitmq":
            time.sleep(SECONDS_UNTIL_COUNTED)
        arguments = {
            "app": stack["app"]["name"],
            "broker": left_question(component, stack["broker"]["leaving"][component]["kind"]),
        }
        answer = self._execute_module("stalk.celery.component_status", module_args=arguments, task_vars=variables)
        if answer.get("failed") or answer.get("unreachable"):
            return dict(answer)
        figures: dict[str, Any] = answer["broker"]
        if ended and (problem := self.problem(component, figures, variables)):
            return {**result, "failed": True, "msg": problem}
        answers = not {"error", "gone"} & figures.keys()
        return {**result, "changed": False, "answers": answers, "queues": lists_of(figures)}

    def problem(self, component: str, figures: dict[str, Any], variables: dict[str, Any]) -> str:
        """Why the broker has to stay."""
        stack = variables["stack"]
        try:
            memory = recall(state_folder(variables, self._templar), stack["app"]["name"])
            abandoned = names(templated("stalk_abandon", variables, self._templar))
        except (MemoryUnreadable, SecretError) as error:
            return str(error)
        said, queues = still_has(figures, memory, abandoned, int(self._task.args.get("kept") or 0))
        left, kind = stack["broker"]["leaving"][component], stack["broker"]["kind"]
        asked = "error" not in figures
        return leaving_problem(kind, left["kind"], left["hosts"], said, queues, asked=asked) if said else ""
