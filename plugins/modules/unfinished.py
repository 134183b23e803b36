"""Tells what the current release has not finished, as the app knows it; the action of this name waits for its end."""

from __future__ import annotations

DOCUMENTATION = r"""
module: unfinished
short_description: Tell what is open in the outbox, and what is sent for later
description:
  - Asks the current release, with a worker's environment and credentials. It sends what is open in the outbox and
    missing at the broker, as beat does while it runs.
  - Fails when the release cannot tell, as its C(celery_ops) is older than this.
  - As a task it needs the fact C(stack) and takes C(of) and C(deadline) alone. It then waits until there is nothing
    more, at most until that moment, and tells what is C(left), a line each.
options:
  of:
    description:
      - What to ask, on a host of the broker C(broker), on one of workers C(outbox), or C(later) for what starts only
        after I(deadline), which is not waited for.
    type: str
    choices: [broker, outbox, later]
  deadline:
    description: Until when to wait, in seconds since the epoch by the clock of the control node.
    type: float
  app:
    description: Name of the app.
    type: str
    required: true
  celery:
    description: The Celery application, as C(celery -A) takes it.
    type: str
    required: true
  queues:
    description: Queues of Redis to look into.
    type: list
    elements: str
    required: true
author: [Stalk developers]
attributes:
  check_mode: {support: none}
"""

EXAMPLES = r"""
- name: Outbox has nothing more
  stalk.celery.unfinished:
    of: outbox
    deadline: "{{ now(utc=true).timestamp() + 600 }}"
"""

RETURN = r"""
left: {description: What is left, for a task., type: list, elements: str, returned: as a task}
sent: {description: How many tasks were sent again., type: int, returned: always}
open: {description: Each task with open rows, and how many., type: list, returned: always}
later:
  description: Each C(task) of which some start later, C(count), and when the C(last) does, in C(seconds).
  type: list
  returned: always
"""

import json
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stalk.celery.plugins.module_utils.release_probes import UNFINISHED
from ansible_collections.stalk.celery.plugins.module_utils.releases import (
    Manage,
    ReleaseFailed,
    Releases,
    SettingsInUse,
)


def main() -> None:
    module = AnsibleModule(
        {
            "app": {"type": "str", "required": True},
            "celery": {"type": "str", "required": True},
            "queues": {"type": "list", "elements": "str", "required": True},
        }
    )
    app, celery, queues = (module.params[name] for name in ("app", "celery", "queues"))
    releases = Releases(Path("/srv") / app)
    current = releases.current() or ""
    try:
        manage = Manage(app, "worker", SettingsInUse(Path("/etc") / app))
        told = manage.answer(releases.path(current), "unfinished", UNFINISHED, celery, json.dumps(queues))
    except (OSError, ValueError, LookupError, ReleaseFailed) as error:
        module.fail_json(msg=f"Release {current} does not tell what it has not finished: {error}")
    if told is None:
        module.fail_json(
            msg=f"stalk_drain_first: release {current} has a celery_ops that does not tell what is open in the outbox; "
            "run once without it"
        )
    module.exit_json(changed=False, **told)


if __name__ == "__main__":
    main()
