"""Documentation of the action plugin leaving_broker, which asks by the module component_status."""

DOCUMENTATION = r"""
module: leaving_broker
short_description: Tell what a broker that the stack leaves still has
description:
  - On a host of a broker whose kind is no longer the one of the description it tells the figures of what is there.
  - With C(component) it judges what all its hosts told, and asks none. Of Redis only a primary knows.
  - With C(ended) it fails when the broker still has messages, unless C(stalk_abandon) names their queues.
options:
  settled:
    description:
      - Whether to wait until the figures are none of before, and to fail where a process of the app runs that the
        description no longer has there, as it may send more.
    type: bool
    default: false
  component:
    description: The broker's component, to judge it.
    type: str
    choices: [redis, rabbitmq]
  told:
    description: Host to the C(figures) that it told.
    type: dict
    default: {}
  ended:
    description: Whether it should have nothing any more.
    type: bool
    default: false
  kept:
    description: How many messages that workers hold, or that are delayed, are known to be for abandoned queues.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: Each host of the old broker tells
  stalk.celery.leaving_broker:
  register: told

- name: What the old broker has
  stalk.celery.leaving_broker:
    component: redis
    told: "{{ {'data1': hostvars.data1.told.figures} }}"
  register: old_broker
  run_once: true
"""

RETURN = r"""
figures: {description: Component to its figures., type: dict, returned: without component}
answers: {description: Whether it is there and tells., type: bool, returned: with component}
empty: {description: Whether nothing speaks against its end., type: bool, returned: with component}
queues: {description: Queues and lists that may have messages., type: list, returned: with component}
"""
