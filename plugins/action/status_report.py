"""Prints the hosts' answers as one table, and fails when something is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.stalk.celery.plugins.module_utils.status.questions import expected_on
from ansible_collections.stalk.celery.plugins.module_utils.status.report import Report


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = True
    _requires_connection = False
    _VALID_ARGS = frozenset(("answers",))

    def run(self, tmp: str | None = None, task_vars: Mapping[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        name = self._task.args["answers"]
        stack, groups = variables["stack"], variables["groups"]
        answers, silent = {}, {}
        for host in variables["ansible_play_hosts_all"]:
            answer = variables["hostvars"][host].get(name)
            if answer and "units" in answer:
                answers[host] = answer
            else:
                silent[host] = reason_of(answer or {})
        expected = [expected_on(host, stack, groups) for host in variables["ansible_play_hosts_all"]]
        report = Report(stack["app"]["name"], stack, expected, answers, silent)
        Display().display("\n" + "\n".join(report.lines()) + "\n")
        count = len(report.problems)
        if not count:
            return {**result, "changed": False}
        noun = "problem" if count == 1 else "problems"
        return {**result, "failed": True, "msg": f"{report.app}: {count} {noun}, listed above with what to do"}


def reason_of(answer: Mapping[str, Any]) -> str:
    """Why a host told nothing, in one line; the connection's own words come before Ansible's."""
    said = answer.get("module_stderr") or answer.get("msg") or "it was not asked"
    return " ".join(str(said).split())
