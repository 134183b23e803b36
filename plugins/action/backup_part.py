"""Has a host copy one part, fetches the encrypted file, and reads it to its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.stalk.celery.plugins.module_utils.backup_identity import BackupIdentity
from ansible_collections.stalk.celery.plugins.module_utils.backups import BackupRefused, file_of, sha256_of
from ansible_collections.stalk.celery.plugins.module_utils.host_answer import HostFailed, host_answer
from ansible_collections.stalk.celery.plugins.module_utils.secrets_store import SecretError
from ansible_collections.stalk.celery.plugins.module_utils.stack_variables import secrets_store


class ActionModule(ActionBase):
    """Arguments are those of the module."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        arguments = dict(self._task.args)
        file = Path(arguments["folder"]) / file_of(arguments["part"], arguments["kind"])
        if self._task.check_mode:
            return {**result, **self._execute_module("stalk.celery.backup_part", arguments, task_vars=variables)}
        # Of the login user, who fetches what root has put into it.
        folder = self._make_tmp_path()
        try:
            remote = self._connection._shell.join_path(folder, file.name)
            answer = host_answer(self, variables, "backup_part", **arguments, target=remote)
            if "part" in answer:
                self.fetch(remote, file, answer["part"], variables)
                answer["part"]["file"] = file.name
            return {**result, **answer}
        except HostFailed as failed:
            return failed.answer
        except (BackupRefused, SecretError) as error:
            return {**result, "failed": True, "msg": f"{arguments['part']}: is not copied: {error}"}
        finally:
            self._remove_tmp_path(folder)

    def fetch(self, remote: str, file: Path, part: dict[str, Any], variables: dict[str, Any]) -> None:
        self._connection.fetch_file(remote, str(file))
        file.chmod(0o600)
        plain = part.pop("plain")
        identity = BackupIdentity.of(secrets_store(variables, self._templar), make=False)
        if sha256_of(file) != part["sha256"] or identity.digest(file) != plain:
            raise BackupRefused(f"{file.name}: came as another file than the host wrote; run it again")
