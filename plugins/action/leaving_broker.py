"""Asks the brokers that the stack leaves what they still have, on each of their hosts, or judges what these told."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.stalk.celery.plugins.module_utils.host_answer import HostFailed, host_answer
from ansible_collections.stalk.celery.plugins.module_utils.leaving_broker import (
    leaving_problem,
    left_question,
    lists_of,
    parting_problem,
    still_has,
    told_by_all,
)
from ansible_collections.stalk.celery.plugins.module_utils.memory import MemoryUnreadable, recall
from ansible_collections.stalk.celery.plugins.module_utils.preflight import names
from ansible_collections.stalk.celery.plugins.module_utils.secrets_store import SecretError
from ansible_collections.stalk.celery.plugins.module_utils.stack_variables import state_folder, templated
from ansible_collections.stalk.celery.plugins.module_utils.status.questions import expected_on
from ansible_collections.stalk.celery.plugins.module_utils.stranded import SECONDS_UNTIL_COUNTED


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset(("settled", "component", "told", "ended", "kept"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        if component := self._task.args.get("component"):
            return {**result, **self.judged(component, variables)}
        if not variables["stack"]["broker"]["leaving"]:
            return {**result, "changed": False, "figures": {}}
        try:
            return {**result, **self.asked(variables)}
        except HostFailed as failed:
            return failed.answer

    def asked(self, variables: dict[str, Any]) -> dict[str, Any]:
        """What this host tells, by component."""
        stack, host, settled = variables["stack"], variables["inventory_hostname"], self._task.args.get("settled")
        here = {name: left["kind"] for name, left in stack["broker"]["leaving"].items() if host in left["hosts"]}
        if settled:
            units: Mapping[str, Any] = self.ask(variables)["units"]
            running = [unit for unit, state in units.items() if state["active"] not in ("inactive", "failed")]
            described = expected_on(host, stack, variables["groups"]).components
            if problem := parting_problem(stack, host, running, described):
                return {"failed": True, "msg": problem}
        if "rabbitmq" in here and settled and not self._task.check_mode:
            time.sleep(SECONDS_UNTIL_COUNTED)
        figures = {name: self.ask(variables, broker=left_question(name, kind))["broker"] for name, kind in here.items()}
        return {"changed": False, "figures": figures}

    def ask(self, variables: dict[str, Any], **arguments: Any) -> dict[str, Any]:
        return host_answer(self, variables, "component_status", app=variables["stack"]["app"]["name"], **arguments)

    def judged(self, component: str, variables: dict[str, Any]) -> dict[str, Any]:
        hosts = variables["stack"]["broker"]["leaving"][component]["hosts"]
        figures = told_by_all(component, hosts, self._task.args["told"])
        problem = self.problem(component, figures, variables)
        if problem and self._task.args.get("ended"):
            return {"failed": True, "msg": problem}
        answers = not {"error", "gone"} & figures.keys()
        return {"changed": False, "answers": answers, "empty": not problem, "queues": lists_of(figures)}

    def problem(self, component: str, figures: Mapping[str, Any], variables: dict[str, Any]) -> str:
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
