"""Documentation of the action plugin authority, which does the work on the control node."""

DOCUMENTATION = r"""
module: authority
short_description: Have one CA of the control node follow another
description:
  - The CA is the one that M(stalk.celery.leaves) signs with, in C({{ stalk_state }}/pki).
  - Connects to no host. Use it with C(run_once), and have every host converge between one state and the next.
options:
  name:
    description: Common name of the CA to come; the time is added.
    type: str
    required: true
  state:
    description:
      - C(announced) makes the CA to come, which every host is to trust beside the one that signs.
      - C(signing) has it sign; every host is to trust the CA before as well.
      - C(alone) drops the CA before.
      - Each is no change where a rotation has come further, and C(signing) and C(alone) where none is under way.
    type: str
    choices: [announced, signing, alone]
    required: true
author: [Stalk developers]
attributes:
  check_mode: {support: full}
  diff_mode: {support: none}
"""

EXAMPLES = r"""
- name: CA to come is made
  stalk.celery.authority:
    name: shop CA
    state: announced
  run_once: true
"""

RETURN = r"""
"""
