"""Has workers end their tasks and stop, and kills none that takes longer."""

from __future__ import annotations

DOCUMENTATION = r"""
module: drain
short_description: Stop Celery workers without ending a task
description:
  - Workers take no more messages, end what they have in hand and stop, all on the host at once. What they hold for
    later goes back to the broker. One that was stopping already keeps its grace, and one that hangs is ended as ever.
  - Fails when some still have tasks after I(seconds). They go on, take no more, and a further run waits on for them.
    With I(kill) they are ended as the end of their grace would, so that the broker delivers what they had again.
  - They stay stopped until M(stalk.celery.units) or systemd starts them.
options:
  app:
    description: Name of the app, as in the units I(app)-worker@POOL.service.
    type: str
    required: true
  pools:
    description: Names of pools; by default all.
    type: list
    elements: str
    default: []
  seconds:
    description: How long to wait at most.
    type: int
    required: true
  kill:
    description: Whether those that take longer are ended.
    type: bool
    default: false
author: [Stalk developers]
attributes:
  check_mode: {support: full}
"""

EXAMPLES = r"""
- name: Host is drained
  stalk.celery.drain:
    app: shop
    seconds: 600
"""

RETURN = r"""
drained: {description: Units that stopped., type: list, elements: str, returned: always}
killed: {description: Those of them that were ended with tasks in hand., type: list, elements: str, returned: always}
busy: {description: Units that still end their tasks., type: list, elements: str, returned: always}
"""

import contextlib

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stalk.celery.plugins.module_utils.drain import Drain
from ansible_collections.stalk.celery.plugins.module_utils.services import ServiceFailed, Systemd


def main() -> None:
    module = AnsibleModule(
        {
            "app": {"type": "str", "required": True},
            "pools": {"type": "list", "elements": "str", "default": []},
            "seconds": {"type": "int", "required": True},
            "kill": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    drain, seconds = Drain(Systemd(), module.params["app"], module.params["pools"]), module.params["seconds"]
    killed: list[str] = []
    try:
        before = drain.running()
        if module.check_mode:
            module.exit_json(changed=bool(before), drained=before, killed=[], busy=[])
        drain.begin()
        busy = drain.wait(seconds)
        if busy and module.params["kill"]:
            killed, busy = busy, drain.kill(busy)
        drain.forget()
    except (OSError, ServiceFailed) as error:
        with contextlib.suppress(OSError, ServiceFailed):
            drain.forget()
        module.fail_json(msg=str(error))
    result = {
        "changed": bool(before),
        "drained": [unit for unit in before if unit not in busy],
        "killed": killed,
        "busy": busy,
    }
    if busy and killed:
        module.fail_json(msg=f"{', '.join(busy)}: does not end; journalctl -u {busy[0]} says why", **result)
    if busy:
        module.fail_json(
            msg=(
                f"{', '.join(map(drain.told, busy))} after {seconds} s; no more are taken. Run again to wait on, or "
                "with -e stalk_kill=true to have the broker deliver again what is in hand"
            ),
            **result,
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()
