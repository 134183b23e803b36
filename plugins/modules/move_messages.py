"""Moves messages from the broker that a stack leaves to the one that it has now, on a host with workers."""

from __future__ import annotations

DOCUMENTATION = r"""
module: move_messages
short_description: Move messages from the broker that the stack leaves to the one that it has now
description:
  - C(noted) keeps the address of the old broker, before the new one takes its place among a worker's secrets.
  - C(moved) runs C(move_messages.py) in the current release, as the app's user, with a worker's environment and
    secrets. Each message is given to the new broker and then taken from the old one. It may be run again at any time.
  - A host that has no address of the old broker never used it, and moves nothing.
options:
  app:
    description: Name of the app.
    type: str
    required: true
  state:
    description: What to do.
    type: str
    choices: [noted, moved]
    required: true
  component:
    description: The old broker's component.
    type: str
    choices: [redis, rabbitmq]
    required: true
  celery:
    description: The Celery application, as C(celery -A) takes it; for C(moved).
    type: str
  queues:
    description: Queues, and lists of Redis, that may have messages.
    type: list
    elements: str
    default: []
  abandoned:
    description: Queues whose messages stay where they are.
    type: list
    elements: str
    default: []
  held:
    description: Whether no worker uses the old broker any more, so that what workers held there is nobody's.
    type: bool
    default: false
  most:
    description: After how many messages to return, so that somebody sees how it goes on.
    type: int
    default: 5000
author: [Stalk developers]
attributes:
  check_mode: {support: full}
"""

EXAMPLES = r"""
- name: Messages come over
  stalk.celery.move_messages:
    app: shop
    state: moved
    component: redis
    celery: config.celery
    queues: [celery]
"""

RETURN = r"""
moved: {description: Queue to the number of messages that were moved., type: dict, returned: for moved}
complete: {description: Whether that was all., type: bool, returned: for moved}
kept: {description: How many that workers hold or are delayed are for abandoned queues., type: int, returned: for moved}
"""

import json
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stalk.celery.plugins.module_utils.managed_files import Folder, converge
from ansible_collections.stalk.celery.plugins.module_utils.releases import Manage, ReleaseFailed, Settings
from ansible_collections.stalk.celery.plugins.module_utils.status.questions import BROKERS

SCHEMES = {"redis": ("redis", "rediss", "sentinel"), "rabbitmq": ("amqp", "amqps")}


def is_of(address: str, component: str) -> bool:
    return address.partition("://")[0] in SCHEMES[component]


def names_of_nodes(app: str, address: str) -> dict[str, str]:
    """The variables that the app has beside the address of several nodes (docs/contract.md)."""
    return {"CELERY_SENTINEL_MASTER": app} if address.startswith("sentinel://") else {}


class Mover:
    def __init__(self, parameters: dict[str, Any], *, dry: bool) -> None:
        self.asked = parameters
        self.app: str = parameters["app"]
        self.component: str = parameters["component"]
        self.settings = Settings(Path("/etc") / self.app)
        self.left = self.settings.folder / "credentials/left"
        self.dry = dry

    @property
    def now(self) -> str:
        """The address that workers have."""
        path = self.settings.folder / "credentials/worker/CELERY_BROKER_URL"
        return path.read_text(encoding="utf-8").strip() if path.exists() else ""

    def noted(self) -> dict[str, Any]:
        """What workers have may be the new one already, after a run that did not end."""
        if not is_of(self.now, self.component):
            return {"changed": False}
        changes = converge(Folder(self.left, {self.component: self.now + "\n"}, 0o700, 0o600), dry=self.dry)
        return {"changed": bool(changes)}

    def moved(self) -> dict[str, Any]:
        note = self.left / self.component
        if self.dry or not note.exists() or is_of(self.now, self.component):
            return {"changed": False, "moved": {}, "complete": True, "kept": 0}
        old = note.read_text(encoding="utf-8").strip()
        question = {
            "celery": self.asked["celery"],
            "old": old,
            "names": names_of_nodes(self.app, old),
            "new": self.now,
            **{name: self.asked[name] for name in ("queues", "abandoned", "held", "most")},
        }
        script = Path("/usr/local/lib") / self.app / "move_messages.py"
        release = (Path("/srv") / self.app / "current").resolve()
        said = Manage(self.app, "worker", self.settings).feed(release, script, json.dumps(question))
        answer: dict[str, Any] = json.loads(said.splitlines()[-1])
        return {"changed": bool(answer["moved"]), **answer}


def main() -> None:
    module = AnsibleModule(
        {
            "app": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["noted", "moved"], "required": True},
            "component": {"type": "str", "choices": list(BROKERS), "required": True},
            "celery": {"type": "str"},
            "queues": {"type": "list", "elements": "str", "default": []},
            "abandoned": {"type": "list", "elements": "str", "default": []},
            "held": {"type": "bool", "default": False},
            "most": {"type": "int", "default": 5000},
        },
        supports_check_mode=True,
    )
    mover = Mover(module.params, dry=module.check_mode)
    try:
        module.exit_json(**getattr(mover, module.params["state"])())
    except (OSError, ValueError, LookupError, ReleaseFailed) as error:
        module.fail_json(msg=f"Messages of {mover.component} were not all moved, none is lost; run again. {error}")


if __name__ == "__main__":
    main()
