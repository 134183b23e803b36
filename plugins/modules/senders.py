"""Stops and starts what sends tasks: web and beat."""

from __future__ import annotations

DOCUMENTATION = r"""
module: senders
short_description: Stop or start what sends tasks on a host
description:
  - C(stopped) stops web, with the socket that would start it again, and beat. They stay enabled, so that a reboot
    starts them.
  - C(started) starts those that are enabled, with whatever release is current.
options:
  app:
    description: Name of the app.
    type: str
    required: true
  state:
    description: What to reach.
    type: str
    choices: [stopped, started]
    required: true
author: [Stalk developers]
attributes:
  check_mode: {support: full}
"""

EXAMPLES = r"""
- name: Senders stop
  stalk.celery.senders:
    app: shop
    state: stopped
"""

RETURN = r"""
units: {description: Units that were stopped or started., type: list, elements: str, returned: always}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stalk.celery.plugins.module_utils.services import ServiceFailed, State, Systemd

# The socket first: it would start the service.
UNITS = ("web.socket", "web.service", "beat.service")


def differing(states: dict[str, State], state: str) -> list[str]:
    if state == "stopped":
        return [unit for unit, found in states.items() if found.active not in ("inactive", "failed")]
    return [unit for unit, found in states.items() if found.enabled and found.active != "active"]


def main() -> None:
    module = AnsibleModule(
        {
            "app": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["stopped", "started"], "required": True},
        },
        supports_check_mode=True,
    )
    systemd, state = Systemd(), module.params["state"]
    try:
        units = differing(systemd.show([f"{module.params['app']}-{unit}" for unit in UNITS]), state)
        if units and not module.check_mode:
            systemd.call("systemctl", {"stopped": "stop", "started": "start"}[state], "--", *units)
    except ServiceFailed as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(units), units=units)


if __name__ == "__main__":
    main()
