"""Tells which releases of the project a host has."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_info
short_description: Tell which releases of a Django project a host has
description:
  - Changes nothing.
options:
  root:
    description: Folder of the releases, as of M(stalk.celery.release).
    type: path
    required: true
  settings:
    description: Folder of the environment, likewise.
    type: path
    required: true
author: [Stalk developers]
attributes:
  check_mode: {support: full}
"""

EXAMPLES = r"""
- name: Releases
  stalk.celery.release_info:
    root: /srv/shop
    settings: /etc/shop
"""

RETURN = r"""
before:
  description: The version that a rollout leads back to which did not come to its end; empty when none did.
  type: str
  returned: always
current: {description: The version that is current; empty when none is., type: str, returned: always}
releases:
  description: Versions whose processes once came up here, the newest first.
  type: list
  elements: str
  returned: always
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stalk.celery.plugins.module_utils.releases import PROVEN, Releases
from ansible_collections.stalk.celery.plugins.module_utils.way_back import leads_back_to


def main() -> None:
    folder = {"type": "path", "required": True}
    module = AnsibleModule({"root": folder, "settings": folder}, supports_check_mode=True)
    releases = Releases(Path(module.params["root"]))
    module.exit_json(
        changed=False,
        before=leads_back_to(Path(module.params["settings"])) or "",
        current=releases.current() or "",
        releases=[version for version in releases.newest_first(PROVEN) if releases.is_complete(version)],
    )


if __name__ == "__main__":
    main()
