"""Copies the broker's data, or the database, into an encrypted file on its host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_part
short_description: Copy the database or what Redis has, encrypted
description:
  - Writes one moment of the database (C(pg_dump)), or of Redis or Valkey (the base of its append-only file), through a
    pipe into a file that C(age) encrypts to a public key. The plain text is on no disk but the server's own.
  - What is encrypted was read by C(pg_restore --list), or by C(redis-check-rdb).
  - The action plugin of this name fetches the file, decrypts it to its end, and removes it from the host.
  - Of Redis the primary alone is copied; a replica answers without C(part).
requirements: [age]
options:
  app:
    description: Name of the app, and of its database.
    type: str
    required: true
  part:
    description: What to copy.
    type: str
    choices: [broker, database]
    required: true
  kind:
    description: Its kind.
    type: str
    choices: [redis, valkey, postgresql]
    required: true
  recipient:
    description: Public key of age.
    type: str
    required: true
  folder:
    description: Where the file goes on the control node.
    type: path
    required: true
  target:
    description: The file on the host, which the action plugin names.
    type: path
author: [Stalk developers]
attributes:
  check_mode: {support: full}
"""

EXAMPLES = r"""
- name: Database
  stalk.celery.backup_part:
    app: shop
    part: database
    kind: postgresql
    recipient: age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p
    folder: /backups/.20261130T120000Z
"""

RETURN = r"""
part: {description: Kind and version of the server; size and digests of the file., type: dict, returned: of a primary}
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stalk.celery.plugins.module_utils import database_copy
from ansible_collections.stalk.celery.plugins.module_utils.redis_copy import RedisHere
from ansible_collections.stalk.celery.plugins.module_utils.sealed_stream import CommandFailed

ARGUMENTS: dict[str, dict[str, Any]] = {
    "app": {"type": "str", "required": True},
    "part": {"type": "str", "choices": ["broker", "database"], "required": True},
    "kind": {"type": "str", "choices": ["redis", "valkey", "postgresql"], "required": True},
    "recipient": {"type": "str", "required": True},
    "folder": {"type": "path", "required": True},
    "target": {"type": "path"},
}


def copied(parameters: dict[str, Any], *, dry: bool) -> dict[str, Any]:
    app, kind, recipient = parameters["app"], parameters["kind"], parameters["recipient"]
    redis = RedisHere(app, kind)
    is_database = parameters["part"] == "database"
    if not is_database and not redis.is_primary():
        return {}
    told = {"kind": kind, "version": database_copy.version() if is_database else redis.version()}
    if dry:
        return told
    target = Path(parameters["target"])
    sealed = database_copy.copy(app, recipient, target) if is_database else redis.copy(recipient, target)
    # A dump is compressed, and has no indexes.
    space = database_copy.size(app) if is_database else sealed.space
    return {**told, **asdict(sealed), "space": space}


def main() -> None:
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    try:
        part = copied(module.params, dry=module.check_mode)
    except (OSError, CommandFailed) as error:
        module.fail_json(msg=f"{module.params['part']}: is not copied: {error}; mend it and run again")
    module.exit_json(changed=bool(part), **({"part": part} if part else {}))


if __name__ == "__main__":
    main()
