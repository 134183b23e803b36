"""Notes on the control node where a component is now; connects to nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.stalk.celery.plugins.module_utils.broker_url import read_broker_url
from ansible_collections.stalk.celery.plugins.module_utils.memory import (
    EXTERNAL,
    Memory,
    MemoryUnreadable,
    keep,
    recall,
)
from ansible_collections.stalk.celery.plugins.module_utils.secrets_store import SecretError
from ansible_collections.stalk.celery.plugins.module_utils.stack_variables import secrets_store, state_folder
from ansible_collections.stalk.celery.plugins.module_utils.status.questions import BROKERS

# Not where something is, but which queues get messages from now on.
QUEUES = "queues"


class ActionModule(ActionBase):
    """`stalk.celery.remember: {app: shop, component: redis}`, with C(run_once) after the role did its work; with
    `state: absent` after it ended everywhere."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _requires_connection = False
    _VALID_ARGS = frozenset(("app", "component", "kind", "state"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        if self._task.check_mode:
            return {**result, "changed": False}
        try:
            folder = state_folder(variables, self._templar)
        except SecretError:
            # A role that is used alone needs no folder on the control node.
            return {**result, "changed": False}
        try:
            app, component = self._task.args["app"], self._task.args["component"]
            kind = self._task.args.get("kind", component)
            absent = self._task.args.get("state") == "absent"
            memory = recall(folder, app)
            memory = memory.without(kind) if absent else after(memory, component, kind, variables)
            if component == EXTERNAL:
                memory = replace(memory, hosts={**memory.hosts, EXTERNAL: (self.place(variables),)})
            keep(folder, app, memory)
        except MemoryUnreadable as error:
            return {**result, "failed": True, "msg": str(error)}
        except OSError as error:
            said = f"{error.filename}: {error.strerror} on the control node; correct owner, mode and free space"
            return {**result, "failed": True, "msg": said}
        return {**result, "changed": False}

    def place(self, variables: dict[str, Any]) -> str:
        """Where an external broker is, without the user of its address."""
        url = secrets_store(variables, self._templar).get("CELERY_BROKER_URL")
        return read_broker_url("CELERY_BROKER_URL", url, variables["stack"]["broker"]["protocol"]).where


def after(memory: Memory, component: str, kind: str, variables: dict[str, Any]) -> Memory:
    """Pools are added before they start, and forgotten once every worker stopped those that left."""
    group, converged = variables["groups"].get(component, []), variables["ansible_play_hosts"]
    if component not in ("worker", EXTERNAL, QUEUES):
        memory = memory.placed(kind, group, converged)
    pools = {name: pool["queues"] for name, pool in variables.get("stack", {}).get("pools", {}).items()}
    if component in (*BROKERS, EXTERNAL, QUEUES) and pools:
        return memory.consumed(pools, only=False)
    if component == "worker" and pools:
        return memory.consumed(pools, only=set(group) <= set(converged))
    return memory
