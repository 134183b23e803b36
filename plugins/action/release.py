"""Runs the module `release`, and hands it the project's archive when the release has to be built."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.stalk.celery.plugins.module_utils.project_source import (
    digest,
    missing_files,
    write_archive,
)

MODULE = "stalk.celery.release"


class ActionModule(ActionBase):
    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        source = arguments.pop("source", None)
        if source:
            arguments["digest"] = digest(Path(source))
        result |= self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
        if not source or result.get("failed") or result.get("built", True) or self._task.check_mode:
            return result
        result |= self._build(Path(source), arguments, task_vars)
        return result

    def _build(self, source: Path, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        if missing := missing_files(source):
            raise AnsibleActionFail(
                f"app.servers.source: {source} has no {' and no '.join(missing)}; "
                "name the folder that holds the project's manage.py"
            )
        with tempfile.NamedTemporaryFile(suffix=".tar.gz") as archive:
            write_archive(source, archive)
            archive.flush()
            folder = self._make_tmp_path()
            try:
                remote = self._connection._shell.join_path(folder, "project.tar.gz")
                self._transfer_file(archive.name, remote)
                self._fixup_perms2([folder, remote])
                built: dict[str, Any] = self._execute_module(
                    module_name=MODULE, module_args={**arguments, "archive": remote}, task_vars=task_vars
                )
            finally:
                self._remove_tmp_path(folder)
        return built
