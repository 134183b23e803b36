"""Makes files below folders be what is wanted, in one execution for all of them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: folders
short_description: Make the files of some folders be exactly these
description:
  - Creates, replaces at once and removes small text files, owned by the user that runs the module, of any
    number of folders in one execution.
options:
  folders:
    description: Folders by their path.
    type: dict
    required: true
    suboptions:
      files:
        description: Path below the folder to content.
        type: dict
      mode:
        description: Mode of the folder and of every folder below it that a file needs.
        type: str
        default: "0755"
      file_mode:
        description: Mode of the files.
        type: str
        default: "0644"
      exactly:
        description: Patterns below the folder; a file that matches and is not in I(files) is removed.
        type: list
        elements: str
      validate:
        description:
          - Path below the folder to a command that accepts or refuses its new content before that replaces the old;
            C(%s) stands for the file to check. Folders with such commands come last.
        type: dict
  remove:
    description: Whether what I(exactly) finds surplus is removed; otherwise I(surplus) only names it.
    type: bool
    default: true
author: [Stalk developers]
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
"""

EXAMPLES = r"""
- name: Environment
  stalk.celery.folders:
    folders:
      /etc/shop:
        files: {web.env: "A=b\n"}
        exactly: ["*.env"]
"""

RETURN = r"""
added: {description: Paths that were created., type: list, returned: always}
removed: {description: Paths that were removed., type: list, returned: always}
surplus: {description: Paths that are not wanted and stayed., type: list, returned: always}
replaced: {description: Paths whose content, owner or mode was set., type: list, returned: always}
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stalk.celery.plugins.module_utils.managed_files import (
    ContentRefused,
    Folder,
    converge,
    surplus,
)


def folder(path: str, wanted: dict[str, Any], *, exact: bool = True) -> Folder:
    return Folder(
        Path(path),
        wanted.get("files") or {},
        int(wanted.get("mode", "0755"), 8),
        int(wanted.get("file_mode", "0644"), 8),
        tuple(wanted.get("exactly") or ()) if exact else (),
        wanted.get("validate") or {},
    )


def validated_last(item: tuple[str, dict[str, Any]]) -> tuple[bool, str]:
    path, wanted = item
    return bool(wanted.get("validate")), path


def main() -> None:
    module = AnsibleModule(
        {"folders": {"type": "dict", "required": True}, "remove": {"type": "bool", "default": True}},
        supports_check_mode=True,
    )
    remove = module.params["remove"]
    wanted = sorted(module.params["folders"].items(), key=validated_last)
    try:
        found = [converge(folder(path, files, exact=remove), dry=module.check_mode) for path, files in wanted]
        staying = [] if remove else [str(file) for path, files in wanted for file in surplus(folder(path, files))]
    except OSError as error:
        module.fail_json(msg=f"{error.filename or 'folders'}: {error.strerror}")
    except ContentRefused as refused:
        module.fail_json(msg=str(refused))
    module.exit_json(
        changed=any(found),
        added=[path for changes in found for path in changes.added],
        replaced=[path for changes in found for path in changes.changed],
        removed=[path for changes in found for path in changes.removed],
        surplus=staying,
        diff=[entry for changes in found for entry in changes.diff],
    )


if __name__ == "__main__":
    main()
