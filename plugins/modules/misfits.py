"""Warns of queued tasks that a release cannot run."""

from __future__ import annotations

DOCUMENTATION = r"""
module: misfits
short_description: Warn of queued tasks that a release cannot run
description:
  - Holds what is queued, in the outbox and at the broker, against the tasks of a release that is not the current one,
    and warns of each task that it does not know, or whose arguments do not fit. It takes no message and
    changes nothing.
  - RabbitMQ shows no message without giving it out. There the tasks of the current release are held against those of
    the other one, and what changed is warned of, whether or not any waits.
  - It asks with a worker's environment and credentials, and says nothing of a project whose C(celery_ops) is older
    than this check.
options:
  app:
    description: Name of the app.
    type: str
    required: true
  version:
    description: Name of the release. Where it is not there yet, as in check mode, nothing is said.
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
  check_mode: {support: full}
"""

EXAMPLES = r"""
- name: What is queued fits the release
  stalk.celery.misfits:
    app: shop
    version: "2026.11"
    celery: config.celery
    queues: [celery, reports]
"""

RETURN = r"""
misfits: {description: What was warned of., type: list, elements: str, returned: always}
"""

import json
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stalk.celery.plugins.module_utils.misfits import change_warnings, misfit_warnings
from ansible_collections.stalk.celery.plugins.module_utils.release_probes import MISFITS, PARAMETERS
from ansible_collections.stalk.celery.plugins.module_utils.releases import (
    Manage,
    ReleaseFailed,
    Releases,
    Settings,
    SettingsInUse,
)


def found(app: str, version: str, celery: str, queues: list[str]) -> list[str]:
    releases, etc = Releases(Path("/srv") / app), Path("/etc") / app
    current = releases.current()
    if current in (None, version) or not releases.is_complete(version):
        return []
    now, then = Manage(app, "worker", SettingsInUse(etc)), Manage(app, "worker", Settings(etc))
    new = releases.path(version)
    told: dict[str, Any] | None = then.answer(new, "misfits", MISFITS, celery, json.dumps(queues))
    if told is None:
        return []
    warnings = list(misfit_warnings(told))
    if told["unread_broker"]:
        before = now.answer(releases.path(str(current)), "parameters", PARAMETERS, celery)
        after = then.answer(new, "parameters", PARAMETERS, celery)
        warnings += change_warnings(told["unread_broker"], before or {}, after or {})
    return warnings


def main() -> None:
    module = AnsibleModule(
        {
            "app": {"type": "str", "required": True},
            "version": {"type": "str", "required": True},
            "celery": {"type": "str", "required": True},
            "queues": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    try:
        warnings = found(**module.params)
    except (OSError, ValueError, LookupError, ReleaseFailed) as error:
        warnings = [f"what is queued was not held against the tasks of the new release: {error}"]
    for warning in warnings:
        module.warn(warning)
    module.exit_json(changed=False, misfits=warnings)


if __name__ == "__main__":
    main()
