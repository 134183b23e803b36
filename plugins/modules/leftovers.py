"""Ends what no longer belongs on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: leftovers
short_description: Remove components that left a host, and secrets that left the description
description:
  - Stops the units of components that no longer run here, in the time that their own definition gives them, and
    removes their units, environment, credentials, certificates and keys.
  - Removes credentials that a component which stays no longer reads. A unit that still loads them must have been
    converged before.
  - nginx and PostgreSQL end only where a drop-in of I(app) shows that they were run for it. PostgreSQL's data stay.
  - A broker ends only when I(emptied) names it; its folder of data is renamed and stays. A host on which I(app) never
    ran is not changed.
options:
  app:
    description: Name of the app.
    type: str
    required: true
  components:
    description: Components that stay on this host.
    type: list
    elements: str
    choices: [redis, rabbitmq, postgresql, web, worker, beat, flower]
    required: true
  credentials:
    description: Component to the names of the credentials that it reads.
    type: dict
    required: true
  extra_ca:
    description: Whether the CA that the host trusts in addition stays.
    type: bool
    required: true
  data:
    description: Whether a database that left may end; otherwise I(waiting) only names it.
    type: bool
    default: false
  emptied:
    description: Component to the kind of brokers that were seen to have nothing any more, and may end.
    type: dict
    default: {}
author: [Stalk developers]
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
"""

EXAMPLES = r"""
- name: What left
  stalk.celery.leftovers:
    app: shop
    components: [worker]
    credentials: {worker: [DATABASE_URL]}
    extra_ca: false
"""

RETURN = r"""
stopped: {description: Units that were stopped and disabled., type: list, returned: always}
removed: {description: Files that were removed., type: list, returned: always}
set_aside: {description: Folders of a broker's data that were renamed., type: list, returned: always}
waiting: {description: Databases that left and still run., type: list, returned: always}
"""

from datetime import UTC, datetime
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stalk.celery.plugins.module_utils.leftovers import Kept, Leftovers
from ansible_collections.stalk.celery.plugins.module_utils.services import ServiceFailed, Systemd
from ansible_collections.stalk.celery.plugins.module_utils.status.questions import COMPONENTS

ARGUMENTS: dict[str, dict[str, Any]] = {
    "app": {"type": "str", "required": True},
    "components": {"type": "list", "elements": "str", "choices": list(COMPONENTS), "required": True},
    "credentials": {"type": "dict", "required": True, "no_log": False},
    "extra_ca": {"type": "bool", "required": True},
    "data": {"type": "bool", "default": False},
    "emptied": {"type": "dict", "default": {}},
}


def main() -> None:
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    leftovers = Leftovers(Kept(**module.params), Systemd())
    units: list[str] = []
    try:
        waiting, departed = leftovers.waiting(), leftovers.departed()
        files = leftovers.files(departed)
        if files:
            units = leftovers.units(departed)
        files = list(dict.fromkeys([*files, *leftovers.surplus()]))
        aside = leftovers.data(departed) if files else []
        if files and not module.check_mode:
            leftovers.end(departed, units, files, datetime.now(UTC))
    except (OSError, ServiceFailed) as error:
        module.fail_json(msg=str(error))
    removed = [str(path) for path in files]
    module.exit_json(
        changed=bool(files),
        stopped=units,
        removed=removed,
        set_aside=[str(folder) for folder in aside],
        waiting=waiting,
        diff={"before": "".join(f"{line}\n" for line in [*units, *removed]), "after": ""} if files else {},
    )


if __name__ == "__main__":
    main()
