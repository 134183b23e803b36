"""Documentation of the action plugin backup, which does the work on the control node."""

DOCUMENTATION = r"""
module: backup
short_description: Begin, complete or choose a backup in its folder of the control node
description:
  - The folder is C(backups-APP) in C(stalk_backups), or in C(stalk_state). A backup is a folder in it, named by its
    time. One run of C(begun) or C(chosen) at a time has it.
  - C(begun) makes the folder to come, which has no name of a backup yet, and the private key where there is none.
    What an interrupted run left there goes. C(kept) writes the manifest and gives it its name, and removes older
    backups than C(stalk_keep_backups) newest.
  - C(chosen) fails, with a line for each reason, unless the backup that C(stalk_backup) names is whole, fits what is
    deployed, and C(stalk_restore) is the name of the app.
  - Connects to no host. Use it with C(run_once).
options:
  state:
    description: See above.
    type: str
    choices: [begun, kept, chosen]
    required: true
  name:
    description: What C(begun) returned, for C(kept).
    type: str
  parts:
    description: Part to what M(stalk.celery.backup_part) returned of it, for C(kept).
    type: dict
  versions:
    description: Part to hosts to the version of the server there, for C(chosen).
    type: dict
  releases:
    description: Host to its current release, for C(kept) and C(chosen).
    type: dict
author: [Stalk developers]
attributes:
  check_mode: {support: full}
  diff_mode: {support: none}
"""

EXAMPLES = r"""
- name: Backup begins
  stalk.celery.backup:
    state: begun
  register: begun
  run_once: true
"""

RETURN = r"""
name: {description: Of the backup., type: str, returned: state is begun or chosen}
draft: {description: Folder for its files., type: str, returned: state is begun}
recipient: {description: Public key to encrypt to., type: str, returned: state is begun}
path: {description: Folder of the backup., type: str, returned: state is kept}
files: {description: Part to its file., type: dict, returned: state is chosen}
spaces: {description: Part to the bytes that it takes on a host., type: dict, returned: state is chosen}
moment: {description: What tells apart the names under which data are kept., type: str, returned: state is chosen}
"""
