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
from ansible_collections.stalk.celery.plugins.module_utils.description.inventory import ports
from ansible_collections.stalk.celery.plugins.module_utils.external import (
    APP_COMPONENTS,
    SECRETS,
    external_figures,
    external_parts,
    external_problems,
    external_question,
)
from ansible_collections.stalk.celery.plugins.module_utils.host_address import host_address
from ansible_collections.stalk.celery.plugins.module_utils.host_answer import HostFailed, host_answer
from ansible_collections.stalk.celery.plugins.module_utils.leaving_broker import (
    leaving_problem,
    port_problem,
    still_has,
    told_by_all,
)
from ansible_collections.stalk.celery.plugins.module_utils.memory import Memory, MemoryUnreadable, keep, recall
from ansible_collections.stalk.celery.plugins.module_utils.preflight import (
    TAKEN_OVER,
    data_problems,
    departing_pools,
    departing_queues,
    foreign_problems,
    held_problems,
    listener_problems,
    management_port_problems,
    names,
    node_problems,
    package_problems,
    queue_problems,
)
from ansible_collections.stalk.celery.plugins.module_utils.secrets_store import SecretError
from ansible_collections.stalk.celery.plugins.module_utils.stack_variables import (
    secrets_store,
    state_folder,
    templated,
)
from ansible_collections.stalk.celery.plugins.module_utils.status.questions import (
    broker_question,
    expected_on,
    nodes_seen_from,
)
from ansible_collections.stalk.celery.plugins.module_utils.stranded import SECONDS_UNTIL_COUNTED
from ansible_collections.stalk.celery.plugins.module_utils.unit_names import heartbeat_of, worker_unit


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset(("ended", "told"))

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
        """What this host's broker has, or the judgement of what all its hosts told."""
        component, told = self.stack["broker"]["component"], self._task.args.get("told")
        if not memory.left or self._task.check_mode:
            return {"changed": False, "figures": {}}
        if told is None:
            return {"changed": False, "figures": {component: self.broker(settled=True)}}
        figures = told_by_all(component, sorted(told), told)
        if "error" in figures and set(told) < set(self.variables["groups"].get(component, ())):
            return {"changed": False}
        if problems := list(queue_problems(figures, memory, self.stack, self.given("stalk_abandon"))):
            return {"failed": True, "msg": "\n".join(problems)}
        folder = state_folder(self.variables, self._templar)
        keep(folder, self.stack["app"]["name"], replace(memory, left=()))
        return {"changed": False}

    def broker(self, *, settled: bool) -> dict[str, Any]:
        """Its figures; with `settled` none that are from before this look."""
        if self.stack["broker"]["kind"] == "external":
            return external_figures(self.ask_external("broker"))
        nodes = nodes_seen_from(self.host, self.stack, self.variables)
        return self.figures(broker_question(self.stack, [], nodes), settled=settled)

    def figures(self, asked: dict[str, Any], *, settled: bool) -> dict[str, Any]:
        if settled and asked["component"] == "rabbitmq" and not self._task.check_mode:
            time.sleep(SECONDS_UNTIL_COUNTED)
        broker: dict[str, Any] = self.ask("component_status", app=self.stack["app"]["name"], broker=asked)["broker"]
        return broker

    def problems(self, memory: Memory) -> Iterator[str]:
        yield from self.leaving_brokers(memory)
        components = expected_on(self.host, self.stack, self.variables["groups"]).components
        app = self.stack["app"]["name"]
        broker = self.stack["broker"]["component"]
        held = memory.hosts.get(self.stack["broker"]["kind"], ())
        run = self.variables["ansible_play_hosts_all"]
        yield from data_problems(self.host, self.stack, self.variables["groups"], held, run)
        yield from package_problems(self.host, self.stack, components, self.variables["ansible_facts"])

        remembered = {**memory.hosts, broker: held}
        new = [name for name in TAKEN_OVER if name in components and self.host not in remembered.get(name, ())]
        is_node = broker in components and self.stack["broker"]["topology"] == "cluster"
        kind, to_open = self.stack["broker"]["kind"], [port for port in ports(self.stack) if port.group in new]
        numbers = {name: [port.number for port in to_open if port.group == name] for name in new}
        found: dict[str, Any] = {"foreign": {}, "listeners": {}, "own": [], "nodes": [], "management_port": None}
        if new or is_node:
            found = self.ask("preflight", app=app, components=new, kind=kind, ports=numbers, nodes=is_node)
        yield from foreign_problems(self.host, found["foreign"], self.given("stalk_take_over"))
        yield from listener_problems(self.host, app, to_open, found["listeners"])
        if is_node:
            node = f"{app}@{host_address(self.variables['hostvars'][self.host])}"
            yield from node_problems(self.host, app, found["nodes"], node)
            described = int(self.stack["broker"]["management_port"])
            yield from management_port_problems(found["nodes"], node, found["management_port"], described)

        if APP_COMPONENTS & set(components):
            for part in external_parts(self.stack):
                yield from external_problems(self.host, part, self.ask_external(part))

        has_broker = broker in components and (broker not in new or broker in found["own"])
        has_broker = has_broker or (broker == "external" and self.host == self.counting_host())
        departing = departing_queues(memory, self.stack)
        if has_broker and (departing or not memory.pools):
            told = self.broker(settled=bool(departing))
            yield from queue_problems(told, memory, self.stack, self.given("stalk_abandon"))
        if "worker" in components:
            yield from self.leaving(memory, departing_pools(memory, self.stack))

    def leaving_brokers(self, memory: Memory) -> Iterator[str]:
        """What stands against the end of a broker of another kind. C(stalk_move_messages) moves what there is, but to
        no queue that nobody consumes."""
        kind, abandoned = self.stack["broker"]["kind"], self.given("stalk_abandon")
        for component, left in self.stack["broker"]["leaving"].items():
            other, hosts = left["kind"], left["hosts"]
            present = [host for host in hosts if host in self.variables["ansible_play_hosts_all"]]
            if self.host != (present[0] if present else self.variables["ansible_play_hosts"][0]):
                continue
            figures = told_by_all(component, hosts, self._task.args.get("told") or {})
            asked = "error" not in figures
            beside = set(hosts) & set(self.variables["groups"].get(self.stack["broker"]["component"], ()))
            if collision := port_problem(self.stack, other, figures, beside):
                yield collision
            said, queues = still_has(figures, memory, abandoned)
            if asked and self.moves:
                yield from queue_problems(figures, memory, self.stack, abandoned)
            elif said:
                yield leaving_problem(kind, other, hosts, said, queues, asked=asked)

    @property
    def moves(self) -> bool:
        return bool(templated("stalk_move_messages", self.variables, self._templar))

    def leaving(self, memory: Memory, pools: dict[str, list[str]]) -> Iterator[str]:
        """What stands against the end of these pools on this host."""
        app, abandoned = self.stack["app"]["name"], self.given("stalk_abandon")
        if not pools:
            return
        component = self.stack["broker"]["component"]
        brokers = self.variables["groups"].get(component, ())
        if component != "external" and not set(brokers) & set(self.variables["ansible_play_hosts_all"]):
            yield from queue_problems({"error": "--limit leaves its host out"}, memory, self.stack, abandoned)
            return
        units = {pool: worker_unit(app, pool) for pool in pools}
        files = {unit: str(heartbeat_of(unit)) for unit in units.values()}
        beats = self.ask("component_status", app=app, heartbeats=files)["heartbeats"]
        reserved = {pool: int((beats.get(unit) or {}).get("reserved", 0)) for pool, unit in units.items()}
        yield from held_problems(self.host, reserved, pools, abandoned)

    def counting_host(self) -> str:
        """The worker that asks an external broker what waits there."""
        workers = set(self.variables["groups"].get("worker", ())) & set(self.variables["ansible_play_hosts_all"])
        return min(workers, default="")

    def ask_external(self, part: str) -> dict[str, Any]:
        store = secrets_store(self.variables, self._templar)
        counted = sorted(departing_queues(self.memory(), self.stack))
        return self.ask("external_broker", **external_question(self.stack, part, store.get(SECRETS[part]), counted))

    def given(self, variable: str) -> list[str]:
        return names(templated(variable, self.variables, self._templar))

    def ask(self, module: str, **arguments: Any) -> dict[str, Any]:
        return host_answer(self, self.variables, module, **arguments)
