"""Stops the app's processes on a host, or starts them again."""

from __future__ import annotations

DOCUMENTATION = r"""
module: processes
short_description: Stop the app's processes on a host, or start them again
description:
  - C(stopped) stops what runs of these components, each in the time that its own unit gives it. Workers are better
    stopped by M(stalk.celery.drain).
  - C(started) starts those that start with the host, with the configuration that lies there, and waits until their
    heartbeat tells that they work. One that still ends its tasks starts after that, which is not waited for.
options:
  app:
    description: Name of the app.
    type: str
    required: true
  components:
    description: Components of the app.
    type: list
    elements: str
    choices: [web, worker, beat, flower]
    required: true
  state:
    description: Whether they run.
    type: str
    choices: [started, stopped]
    required: true
  timeout:
    description: Seconds to wait for a heartbeat.
    type: int
    default: 120
author: [Stalk developers]
attributes:
  check_mode: {support: full}
"""

EXAMPLES = r"""
- name: Nobody sends a task
  stalk.celery.processes:
    app: shop
    components: [web, beat]
    state: stopped
"""

RETURN = r"""
units: {description: Units that were stopped or started., type: list, elements: str, returned: always}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stalk.celery.plugins.module_utils.processes import Processes
from ansible_collections.stalk.celery.plugins.module_utils.services import ServiceFailed, Systemd


def main() -> None:
    components = {"type": "list", "elements": "str", "choices": ["web", "worker", "beat", "flower"], "required": True}
    module = AnsibleModule(
        {
            "app": {"type": "str", "required": True},
            "components": components,
            "state": {"type": "str", "choices": ["started", "stopped"], "required": True},
            "timeout": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    processes = Processes(Systemd(), module.params["app"], module.params["components"])
    starts = module.params["state"] == "started"
    try:
        units = processes.resting() if starts else processes.running()
        if not module.check_mode:
            processes.start(module.params["timeout"]) if starts else processes.stop()
    except (OSError, ServiceFailed) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(units), units=units)


if __name__ == "__main__":
    main()
