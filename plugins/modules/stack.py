"""Documentation of the action plugin stack, which does the work on the control node."""

DOCUMENTATION = r"""
module: stack
short_description: Read, merge and check a description
description:
  - Merges the chart's defaults (C(helm/stalk/values.yaml)) and the files as C(helm -f a -f b) does, validates
    against C(helm/stalk/files/description/schema.json), and refuses what would lose work, each reason in one line.
  - Runs on the control node and connects to no host. Use it with C(run_once), so that every host has the fact.
options:
  files:
    description: Names of the description's files, merged in this order; relative to where Ansible was started.
    type: list
    elements: path
    required: true
"""

EXAMPLES = r"""
- name: Description is read and checked
  stalk.celery.stack:
    files: [stack.yml, production.yml]
  run_once: true
"""

RETURN = r"""
ansible_facts:
  description: The fact C(stack), the merged description with what follows from it.
  returned: success
  type: dict
"""
