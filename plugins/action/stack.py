"""Reads, merges and checks a description on the control node; connects to nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Refused, quoted
from ansible_collections.stalk.celery.plugins.module_utils.memory import MemoryUnreadable
from ansible_collections.stalk.celery.plugins.module_utils.secrets_store import SecretError
from ansible_collections.stalk.celery.plugins.module_utils.stack_variables import secrets_store, state_folder


class ActionModule(ActionBase):
    """`stalk.celery.stack: {files: [stack.yml, production.yml]}` returns the fact `stack`."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _requires_connection = False
    _VALID_ARGS = frozenset(("files",))

    def run(self, tmp: str | None = None, task_vars: Mapping[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        try:
            stack = self.described(task_vars or {})
        except Refused as refused:
            count = len(refused.lines)
            heading = f"The description is refused for {'this reason' if count == 1 else f'these {count} reasons'}"
            return {**result, "failed": True, "msg": "\n".join([f"{heading}; nothing was changed.", *refused.lines])}
        return {**result, "changed": False, "ansible_facts": {"stack": stack}}

    def described(self, task_vars: Mapping[str, Any]) -> dict[str, Any]:
        try:
            from ansible_collections.stalk.celery.plugins.module_utils.description.describe import describe
            from ansible_collections.stalk.celery.plugins.module_utils.description.surroundings import Surroundings
        except ImportError as error:
            package = (error.name or "").partition(".")[0]
            if package not in ("jsonschema", "cryptography", "yaml"):
                raise
            raise Refused(
                [f"{package}: is missing beside Ansible; run `pip install {package}` in Ansible's environment"]
            ) from None
        groups = {name: list(hosts) for name, hosts in task_vars.get("groups", {}).items()}
        try:
            secrets = secrets_store(task_vars, self._templar).all()
            state = state_folder(task_vars, self._templar)
        except SecretError as error:
            raise Refused(str(error).splitlines()) from None
        surroundings = Surroundings(groups, secrets, state=state)
        try:
            return describe(file_names(self._task.args.get("files")), Path.cwd(), surroundings)
        except MemoryUnreadable as error:
            raise Refused([str(error)]) from None


def file_names(given: Any) -> list[str]:
    """The argument `files`: one name or a list of them."""
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, list) or not names:
        raise Refused(["stack_files: names no file; write a list such as [stack.yml]"])
    for index, name in enumerate(names):
        if not isinstance(name, str) or not name.strip():
            shown = quoted(str(name))
            raise Refused([f"stack_files[{index}]: {shown} is no file name; write a list such as [stack.yml]"])
    return [str(name) for name in names]
