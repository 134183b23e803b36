"""Has one CA of the control node follow another; connects to nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.stalk.celery.plugins.module_utils.certificates.authority import PASSPHRASE
from ansible_collections.stalk.celery.plugins.module_utils.certificates.authority_rotation import AuthorityRotation
from ansible_collections.stalk.celery.plugins.module_utils.secrets_store import SecretError
from ansible_collections.stalk.celery.plugins.module_utils.stack_variables import secrets_store, state_folder

STATES = ("announced", "signing", "alone")


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(
            {"name": {"type": "str", "required": True}, "state": {"choices": STATES, "required": True}}
        )
        variables = task_vars or {}
        try:
            rotation = AuthorityRotation(
                state_folder(variables, self._templar) / "pki",
                given["name"],
                lambda: secrets_store(variables, self._templar).get(PASSPHRASE),
                datetime.now(UTC),
                dry=self._task.check_mode,
            )
            return {**result, "changed": getattr(rotation, given["state"])()}
        except SecretError as error:
            return {**result, "failed": True, "msg": str(error)}
        except OSError as error:
            said = f"{error.filename}: {error.strerror} on the control node; correct owner, mode and free space"
            return {**result, "failed": True, "msg": said}
