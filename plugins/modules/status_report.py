"""Documentation of the action plugin status_report, which does the work on the control node."""

DOCUMENTATION = r"""
module: status_report
short_description: Print how the stack is
description:
  - Prints what M(stalk.celery.component_status) found on all hosts of the play as one table of at most 100 columns,
    then what is wrong and what to do about each. It fails when something is wrong.
  - Needs the fact C(stack). Use it with C(run_once).
options:
  answers:
    description: Name of the variable into which each host registered its answer.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Report
  stalk.celery.status_report:
    answers: status_of_host
  run_once: true
"""

RETURN = r"""
msg:
  description: How many problems there are.
  returned: failed
  type: str
"""
