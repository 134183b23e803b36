"""Asks a host what the coming run would end or leave behind, as far as the control node does not remember it.

With C(ended: true), at the end of a run, it asks for messages that came while a pool left, and forgets queues that
are empty.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.stalk.celery.plugins.module_utils.memory import Memory, MemoryUnreadable, keep, recall
from ansible_collections.stalk.celery.plugins.module_utils.preflight import (
    TAKEN_OVER,
    departing_pools,
    departing_queues,
    foreign_problems,
    held_problems,
    names,
    node_problems,
    queue_problems,
)
from ansible_collections.stalk.celery.plugins.module_utils.secrets_store import SecretError
from ansible_collections.stalk.celery.plugins.module_utils.stack_variables import state_folder, templated
from ansible_collections.stalk.celery.plugins.module_utils.status.questions import (
    address_of,
    broker_question,
    expected_on,
    nodes_seen_from,
    worker_unit,
)
from ansible_collections.stalk.celery.plugins.module_utils.stranded import SECONDS_UNTIL_COUNTED


class HostFailed(Exception):
    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = answer
        super().__init__()


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset(("ended",))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        self.variables = task_vars or {}
        self.stack: Mapping[str, Any] = self.variables["stack"]
        self.host: str = self.variables["inventory_hostname"]
        try:
            memory = self.memory()
            if self._task.args.get("ended"):
                return {**result, **self.end(memory)}
            problems = list(self.problems(memory))
        except (MemoryUnreadable, SecretError) as error:
            return {**result, "failed": True, "msg": str(error)}
        except HostFailed as failed:
            return failed.answer
        if problems:
            return {**result, "failed": True, "msg": "\n".join([*problems, "Nothing was changed."])}
        return {**result, "changed": False}

    def memory(self) -> Memory:
        return recall(state_folder(self.variables, self._templar), self.stack["app"]["name"])

    def end(self, memory: Memory) -> dict[str, Any]:
        if not memory.left or self._task.check_mode:
            return {"changed": False}
        if problems := list(queue_problems(self.broker(settled=True), memory, self.stack, self.given("stalk_abandon"))):
            return {"failed": True, "msg": "\n".join(problems)}
        folder = state_folder(self.variables, self._templar)
        keep(folder, self.stack["app"]["name"], replace(memory, left=()))
        return {"changed": False}

    def broker(self, *, settled: bool) -> dict[str, Any]:
        """Its figures; with `settled` none that are from before this look."""
        asked = broker_question(self.stack, [], nodes_seen_from(self.host, self.stack, self.variables))
        if settled and asked["kind"] == "rabbitmq" and not self._task.check_mode:
            time.sleep(SECONDS_UNTIL_COUNTED)
        broker: dict[str, Any] = self.ask("component_status", app=self.stack["app"]["name"], broker=asked)["broker"]
        return broker

    def problems(self, memory: Memory) -> Iterator[str]:
        components = expected_on(self.host, self.stack, self.variables["groups"]).components
        app = self.stack["app"]["name"]
        new = [name for name in TAKEN_OVER if name in components and self.host not in memory.hosts.get(name, ())]
        kind = self.stack["broker"]["kind"]
        is_node = kind in components and self.stack["broker"]["topology"] == "cluster"
        found: dict[str, Any] = {"foreign": {}, "own": [], "nodes": []}
        if new or is_node:
            found = self.ask("preflight", app=app, components=new, nodes=is_node)
        yield from foreign_problems(self.host, found["foreign"], self.given("stalk_take_over"))
        yield from node_problems(self.host, app, found["nodes"], f"{app}@{address_of(self.host, self.variables)}")

        has_broker = kind in components and (kind not in new or kind in found["own"])
        departing = departing_queues(memory, self.stack)
        if has_broker and (departing or not memory.pools):
            broker = self.broker(settled=bool(departing))
            yield from queue_problems(broker, memory, self.stack, self.given("stalk_abandon"))
        if "worker" in components:
            yield from self.leaving(memory, departing_pools(memory, self.stack))

    def leaving(self, memory: Memory, pools: dict[str, list[str]]) -> Iterator[str]:
        """What stands against the end of these pools on this host."""
        app, abandoned = self.stack["app"]["name"], self.given("stalk_abandon")
        if not pools:
            return
        brokers = self.variables["groups"].get(self.stack["broker"]["kind"], ())
        if not set(brokers) & set(self.variables["ansible_play_hosts_all"]):
            yield from queue_problems({"error": "--limit leaves its host out"}, memory, self.stack, abandoned)
            return
        files = {worker_unit(app, pool): f"/run/{app}-worker-{pool}/heartbeat" for pool in pools}
        beats = self.ask("component_status", app=app, heartbeats=files)["heartbeats"]
        reserved = {pool: int((beats.get(worker_unit(app, pool)) or {}).get("reserved", 0)) for pool in pools}
        yield from held_problems(self.host, reserved, pools, abandoned)

    def given(self, variable: str) -> list[str]:
        return names(templated(variable, self.variables, self._templar))

    def ask(self, module: str, **arguments: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._execute_module(
            f"stalk.celery.{module}", module_args=arguments, task_vars=self.variables
        )
        if answer.get("failed") or answer.get("unreachable"):
            raise HostFailed(answer)
        return answer
