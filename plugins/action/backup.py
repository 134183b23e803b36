"""Begins, completes and chooses a backup in its folder of the control node; connects to nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.stalk.celery.plugins.module_utils.backup_identity import BackupIdentity
from ansible_collections.stalk.celery.plugins.module_utils.backups import (
    BackupRefused,
    Manifest,
    Part,
    begin_run,
    broken,
    chosen,
    complete,
    confirmation,
    draft_of,
    drafts,
    forged,
    mismatches,
    name_at,
    names,
    not_in_it,
    read,
    readable,
    remove,
    required,
    superseded,
    told,
)
from ansible_collections.stalk.celery.plugins.module_utils.secrets_store import SecretError
from ansible_collections.stalk.celery.plugins.module_utils.stack_variables import (
    secrets_store,
    state_folder,
    templated,
)

STATES = ("begun", "kept", "chosen")
UNCHANGED = "Nothing was changed."


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(
            {
                "state": {"choices": STATES, "required": True},
                "name": {"type": "str"},
                "parts": {"type": "dict"},
                "versions": {"type": "dict"},
                "releases": {"type": "dict"},
            }
        )
        self.variables = task_vars or {}
        self.stack: Mapping[str, Any] = self.variables["stack"]
        self.app: str = self.stack["app"]["name"]
        try:
            return {**result, **getattr(self, given["state"])(given)}
        except (BackupRefused, SecretError) as error:
            return {**result, "failed": True, "msg": str(error)}
        except OSError as error:
            said = f"{error.filename}: {error.strerror} on the control node; correct owner, mode and free space"
            return {**result, "failed": True, "msg": said}

    def given(self, name: str) -> str:
        return str(templated(name, self.variables, self._templar) or "")

    @property
    def folder(self) -> Path:
        stated = self.given("stalk_backups")
        parent = Path(stated).expanduser().absolute() if stated else state_folder(self.variables, self._templar)
        return parent / f"backups-{self.app}"

    def begin_run(self) -> None:
        """The playbook's own process is the one that started this one."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        begin_run(self.folder, os.getppid())

    def identity(self, *, make: bool = False) -> BackupIdentity:
        return BackupIdentity.of(secrets_store(self.variables, self._templar), make=make)

    def keep(self) -> int | None:
        stated = self.given("stalk_keep_backups")
        if stated and (not stated.isdecimal() or int(stated) < 1):
            raise BackupRefused(f"stalk_keep_backups: is {stated}; write a whole number from 1 on. {UNCHANGED}")
        return int(stated) if stated else None

    def begun(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The name, the draft and the public key. What an interrupted run left goes."""
        self.keep()
        name, folder = name_at(datetime.now(UTC)), self.folder
        draft = draft_of(folder, name)
        if self._task.check_mode:
            # A key for a file that nobody writes.
            return {"changed": False, "name": name, "draft": str(draft), "recipient": ""}
        self.begin_run()
        identity = self.identity(make=True)
        for left in drafts(folder):
            shutil.rmtree(left)
        if (folder / name).exists():
            raise BackupRefused(f"{folder / name}: is there already; run it again")
        draft.mkdir(mode=0o700)
        return {"changed": False, "name": name, "draft": str(draft), "recipient": identity.recipient}

    def kept(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The draft with all parts is the backup; older ones go where fewer are wanted."""
        if self._task.check_mode:
            return {"changed": True}
        folder, name, keep = self.folder, given["name"], self.keep()
        wanted = [field.name for field in fields(Part)]
        parts = {part: Part(**{key: of[key] for key in wanted}) for part, of in given["parts"].items()}
        releases = tuple(sorted({release for release in given["releases"].values() if release}))
        if absent := required(self.stack) - set(parts):
            raise BackupRefused(f"{', '.join(sorted(absent))}: is not in the backup, which is none so; run it again")
        identity = self.identity()
        path = complete(folder, name, Manifest(self.app, identity.recipient, releases, parts), identity.code)
        over = superseded(names(folder), keep, name) if keep else []
        for older in over:
            remove(folder, older)
        lines = [f"{part}: {of.kind} {of.version}, {readable(of.size)}" for part, of in sorted(parts.items())]
        lines += [f"not in it: {what}" for what in not_in_it(self.stack)]
        lines += [f"removed, as {keep} are kept: {', '.join(over)}"] if over else []
        Display().display("\n".join(["", str(path), *(f"  {line}" for line in lines), ""]))
        return {"changed": True, "path": str(path)}

    def chosen(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The folder of the backup and its parts, when nothing speaks against its return."""
        path = chosen(self.folder, self.given("stalk_backup"))
        manifest = read(path)
        problems = list(mismatches(manifest, self.stack, given["releases"], given["versions"]))
        if not problems:
            problems = self.locked(manifest) or [*forged(path, self.identity().code), *broken(path, manifest)]
        if not problems:
            hosts = {part: list(on) for part, on in given["versions"].items()}
            problems = list(confirmation(self.app, path.name, manifest, hosts, self.given("stalk_restore")))
        if problems:
            return {"failed": True, "msg": "\n".join([*problems, UNCHANGED])}
        if not self._task.check_mode:
            self.begin_run()
        Display().display(f"\nComes back: {told(path.name)}\n")
        files = {part: str(path / of.file) for part, of in manifest.parts.items()}
        spaces = {part: of.space for part, of in manifest.parts.items()}
        return {
            "changed": False,
            "name": path.name,
            "files": files,
            "spaces": spaces,
            "moment": name_at(datetime.now(UTC)),
        }

    def locked(self, manifest: Manifest) -> list[str]:
        if self.identity().recipient == manifest.recipient:
            return []
        return [
            f"secret BACKUP_IDENTITY: is not the one whose public key is {manifest.recipient}; bring that one back, in "
            "stalk_secrets say"
        ]
