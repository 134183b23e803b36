"""Waits until a broker or the outbox has nothing more for the release that runs, or tells what it still has."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.stalk.celery.plugins.module_utils.host_answer import HostFailed, host_answer
from ansible_collections.stalk.celery.plugins.module_utils.preflight import described_queues
from ansible_collections.stalk.celery.plugins.module_utils.status.questions import broker_question, nodes_seen_from
from ansible_collections.stalk.celery.plugins.module_utils.stranded import SECONDS_UNTIL_COUNTED
from ansible_collections.stalk.celery.plugins.module_utils.unfinished import (
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
        self.queues = sorted(described_queues(self.stack))
        look = {"broker": self.broker, "outbox": self.outbox, "later": self.later}[self._task.args["of"]]
        try:
            left = look()
            while left and look != self.later and self.seconds_left() > 0:
                time.sleep(SECONDS_BETWEEN_LOOKS)
                left = look()
        except HostFailed as failed:
            return failed.answer
        return {**result, "changed": False, "left": left}

    def seconds_left(self) -> float:
        return float(self._task.args["deadline"]) - time.time()

    def broker(self) -> list[str]:
        nodes = nodes_seen_from(self.variables["inventory_hostname"], self.stack, self.variables)
        if self.stack["broker"]["component"] == "rabbitmq":
            # Figures from before this look tell neither of what came nor of what went.
            time.sleep(SECONDS_UNTIL_COUNTED)
        asked = broker_question(self.stack, self.queues, nodes)
        figures = self.ask("component_status", broker=asked)["broker"]
        return list(left_at_broker(figures, self.queues))

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
