"""Brings the database, or the broker's data, of a backup back beside what is there, and into its place."""

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_part
short_description: Bring the database or Redis' data of a backup back
description:
  - C(told) answers which version the server has.
  - C(beside) decrypts the file of the backup into the empty database I(app)C(_restored_)I(moment), or into
    C(/var/lib/)I(app)C(-)I(kind)C(.restored-)I(moment). What is there goes on meanwhile.
    What earlier runs left so goes.
  - C(in_place) gives that, once it is whole, the name of what is there, which is kept as I(app)C(_before_)I(moment),
    or as C(/var/lib/)I(app)C(-)I(kind)C(.left-)I(moment). Redis must have stopped; sessions of the database are ended.
  - The action plugin of this name brings file and private key, which no disk of the host keeps; without pipelining,
    which that takes, it fails.
requirements: [age]
options:
  app:
    description: Name of the app, and of its database.
    type: str
    required: true
  part:
    description: What to bring back.
    type: str
    choices: [broker, database]
    required: true
  kind:
    description: Its kind.
    type: str
    choices: [redis, valkey, postgresql]
    required: true
  state:
    description: How far.
    type: str
    choices: [told, beside, in_place]
    required: true
  moment:
    description: What tells the names of one run from those of others, for C(beside) and C(in_place).
    type: str
  file:
    description: The encrypted file, on the control node.
    type: path
  identity:
    description: The private key; the action plugin gives it.
    type: str
  space:
    description: Bytes that must be free on the host, for C(beside).
    type: int
author: [Stalk developers]
attributes:
  check_mode: {support: full}
"""

EXAMPLES = r"""
- name: Database beside the one that is there
  stalk.celery.restore_part:
    app: shop
    part: database
    kind: postgresql
    state: beside
    moment: 20261201T090000Z
    file: /backups/20261130T120000Z/database.dump.age
    space: 7800000
"""

RETURN = r"""
version: {description: The server's version; empty where none is installed., type: str, returned: state is told}
kept: {description: Name of what was there; empty where nothing was., type: str, returned: state is in_place}
"""

import re
import subprocess
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
    "state": {"type": "str", "choices": ["told", "beside", "in_place"], "required": True},
    "moment": {"type": "str"},
    "file": {"type": "path"},
    "identity": {"type": "str", "no_log": True},
    "space": {"type": "int"},
}
REQUIRED_IF = [("state", "beside", ["file", "identity", "moment", "space"]), ("state", "in_place", ["moment"])]


def installed(kind: str) -> str:
    """Empty where it is not. Redis may stand, as a restore that was interrupted had it stop."""
    try:
        if kind == "postgresql":
            return database_copy.version()
        said = subprocess.run([f"{kind}-server", "--version"], capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""
    found = re.search(r"\d+(\.\d+)+", said)
    return found[0] if found else ""


def brought_beside(parameters: dict[str, Any]) -> None:
    app, moment, identity, space = (parameters[name] for name in ("app", "moment", "identity", "space"))
    file = Path(parameters["file"])
    if parameters["part"] == "database":
        database_copy.fill(app, moment, file, identity, space)
    else:
        RedisHere(app, parameters["kind"]).unpack(file, identity, moment, space)


def brought_in_place(parameters: dict[str, Any]) -> str:
    app, moment = parameters["app"], parameters["moment"]
    if parameters["part"] == "database":
        return database_copy.take_place(app, moment)
    return str(RedisHere(app, parameters["kind"]).take_place(moment) or "")


def main() -> None:
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True, required_if=REQUIRED_IF)
    state, told = module.params["state"], {}
    try:
        if state == "told":
            told = {"version": installed(module.params["kind"])}
        elif state == "beside" and not module.check_mode:
            brought_beside(module.params)
        elif state == "in_place":
            told = {"kept": "" if module.check_mode else brought_in_place(module.params)}
    except (OSError, CommandFailed) as error:
        module.fail_json(msg=f"{module.params['part']}: is not restored: {error}; mend it and run again")
    module.exit_json(changed=state != "told", **told)


if __name__ == "__main__":
    main()
