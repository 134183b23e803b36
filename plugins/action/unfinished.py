"""Waits until a broker or the outbox has nothing more for the release that runs, or tells what it still has."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.stalk.celery.plugins.module_utils.host_answer import HostFailed, host_answer
from ansible_collections.stalk.celery.plugins.module_utils.memory import recall
from ansible_collections.stalk.celery.plugins.module_utils.preflight import described_queues, names
from ansible_collections.stalk.celery.plugins.module_utils.stack_variables import state_folder
from ansible_collections.stalk.celery.plugins.module_utils.status.questions import broker_question, nodes_seen_from
from ansible_collections.stalk.celery.plugins.module_utils.stranded import SECONDS_UNTIL_COUNTED
from ansible_collections.stalk.celery.plugins.module_utils.unfinished import (
    is_telling,
    left_at_broker,
    left_for_later,
    left_in_outbox,
)

SECONDS_BETWEEN_LOOKS = 3


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _VALID_ARGS = frozenset(("of", "deadline"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        self.variables = task_vars or {}
        self.stack: Mapping[str, Any] = self.variables["stack"]
        # Those of pools that leave with the new release are taken from until then.
        self.queues = sorted(described_queues(self.stack) | self.remembered())
        self.telling = True
        look = {"broker": self.broker, "outbox": self.outbox, "later": self.later}[self._task.args["of"]]
        try:
            left = look()
            while left and look != self.later and self.seconds_left() > 0:
                time.sleep(SECONDS_BETWEEN_LOOKS)
                left = look()
        except HostFailed as failed:
            return failed.answer
        return {**result, "changed": False, "left": left, "telling": self.telling}

    def remembered(self) -> set[str]:
        memory = recall(state_folder(self.variables, self._templar), self.stack["app"]["name"])
        return memory.queues - set(names(self.variables.get("stalk_abandon")))

    def seconds_left(self) -> float:
        return float(self._task.args["deadline"]) - time.time()

    def broker(self) -> list[str]:
        nodes = nodes_seen_from(self.variables["inventory_hostname"], self.stack, self.variables)
        if self.stack["broker"]["component"] == "rabbitmq":
            # Figures from before this look tell neither of what came nor of what went.
            time.sleep(SECONDS_UNTIL_COUNTED)
        asked = broker_question(self.stack, self.queues, nodes)
        figures = self.ask("component_status", broker=asked)["broker"]
        self.telling = is_telling(figures)
        return list(left_at_broker(figures, self.queues)) if self.telling else []

    def outbox(self) -> list[str]:
        told = self.unfinished()
        # What was sent a moment ago is at the broker, which is to be asked again.
        sent = [f"outbox: {told['sent']} sent again"] if told["sent"] else []
        return [*left_in_outbox(told), *left_for_later(told)] or sent

    def later(self) -> list[str]:
        return list(left_for_later(self.unfinished(), self.seconds_left()))

    def unfinished(self) -> dict[str, Any]:
        return self.ask("unfinished", celery=self.stack["app"]["celery"], queues=self.queues)

    def ask(self, module: str, **arguments: Any) -> dict[str, Any]:
        return host_answer(self, self.variables, module, app=self.stack["app"]["name"], **arguments)
