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
      stage:
        description:
          - Folder where all files are written instead when one of them is not in place as wanted. Whoever takes them
            into use puts them in place. Nothing in place changes, and I(exactly) concerns the stage alone.
        type: path
      made:
        description: A file that I(make) makes from the files; it is made again when it is older than one of them.
        type: path
      make:
        description: The command that makes I(made).
        type: list
        elements: str
      validate:
        description:
          - Path below the folder to a command that accepts or refuses its new content before that replaces the old;
            C(%s) stands for the file to check. Folders with such commands come last.
        type: dict
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
replaced: {description: Paths whose content, owner or mode was set., type: list, returned: always}
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stalk.celery.plugins.module_utils.managed_files import (
    ContentRefused,
    Folder,
    converge,
)


def folder(path: str, wanted: dict[str, Any]) -> Folder:
    return Folder(
        Path(path),
        wanted.get("files") or {},
        int(wanted.get("mode", "0755"), 8),
        int(wanted.get("file_mode", "0644"), 8),
        tuple(wanted.get("exactly") or ()),
        wanted.get("validate") or {},
        Path(wanted["stage"]) if wanted.get("stage") else None,
        Path(wanted["made"]) if wanted.get("made") else None,
        tuple(wanted.get("make") or ()),
    )


def validated_last(item: tuple[str, dict[str, Any]]) -> tuple[bool, str]:
    path, wanted = item
    return bool(wanted.get("validate")), path


def main() -> None:
    module = AnsibleModule({"folders": {"type": "dict", "required": True}}, supports_check_mode=True)
    wanted = sorted(module.params["folders"].items(), key=validated_last)
    try:
        found = [converge(folder(path, files), dry=module.check_mode) for path, files in wanted]
    except OSError as error:
        module.fail_json(msg=f"{error.filename or 'folders'}: {error.strerror}")
    except ContentRefused as refused:
        module.fail_json(msg=str(refused))
    module.exit_json(
        changed=any(found),
        added=[path for changes in found for path in changes.added],
        replaced=[path for changes in found for path in changes.changed],
        removed=[path for changes in found for path in changes.removed],
        diff=[entry for changes in found for entry in changes.diff],
    )


if __name__ == "__main__":
    main()
