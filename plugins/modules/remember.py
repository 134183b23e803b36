"""Documentation of the action plugin remember, which does the work on the control node."""

DOCUMENTATION = r"""
module: remember
short_description: Note on the control node where a component is
description:
  - Writes into C({{ stalk_state }}/deployed-APP.yml) which hosts of the play have a component, and which queues the
    pools consume. M(stalk.celery.stack) and M(stalk.celery.preflight) read it, so that no later run leaves data behind.
  - Connects to no host. Use it with C(run_once), after the component was deployed.
options:
  app:
    description: Name of the app.
    type: str
    required: true
  component:
    description: The component, as its group in the inventory is called; or C(queues), which the pools will consume.
    type: str
    required: true
  kind:
    description: The component's kind, as redis or valkey, whose data no other kind takes over; it is noted by that.
    type: str
    default: the component
  state:
    description: C(absent) after the component ended on every host.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Place of the broker is remembered
  stalk.celery.remember:
    app: shop
    component: redis
  run_once: true
"""

RETURN = r"""
"""
