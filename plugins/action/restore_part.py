"""Hands a host the encrypted file of a part and the private key, and has it bring the part back."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.stalk.celery.plugins.module_utils.backup_identity import BackupIdentity
from ansible_collections.stalk.celery.plugins.module_utils.backups import BackupRefused
from ansible_collections.stalk.celery.plugins.module_utils.secrets_store import SecretError
from ansible_collections.stalk.celery.plugins.module_utils.stack_variables import secrets_store

MODULE = "stalk.celery.restore_part"
# Ansible would write the module with its arguments to a file there.
WITHOUT_PIPELINING = (
    "pipelining: is off, or ANSIBLE_KEEP_REMOTE_FILES is set, and the private key would be on the host's disk; set "
    "ANSIBLE_PIPELINING=1, or pipelining = true under [connection] of ansible.cfg. Nothing was changed."
)


class ActionModule(ActionBase):
    TRANSFERS_FILES = True
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        arguments = dict(self._task.args)
        if arguments["state"] != "in_place" and not self._is_pipelining_enabled("new"):
            return {**result, "failed": True, "msg": WITHOUT_PIPELINING}
        if arguments["state"] != "beside":
            return {**result, **self._execute_module(MODULE, arguments, task_vars=variables)}
        try:
            arguments["identity"] = BackupIdentity.of(secrets_store(variables, self._templar), make=False).text
        except (BackupRefused, SecretError) as error:
            return {**result, "failed": True, "msg": str(error)}
        folder = self._make_tmp_path()
        try:
            if not self._task.check_mode:
                remote = self._connection._shell.join_path(folder, "sealed.age")
                self._transfer_file(arguments["file"], remote)
                self._fixup_perms2([folder, remote])
                arguments["file"] = remote
            return {**result, **self._execute_module(MODULE, arguments, task_vars=variables)}
        finally:
            self._remove_tmp_path(folder)
