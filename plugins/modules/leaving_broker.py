"""Documentation of the action plugin leaving_broker, which asks by the module component_status."""

DOCUMENTATION = r"""
module: leaving_broker
short_description: Tell what the broker that the stack leaves still has
description:
  - Runs on a host of a broker whose kind is no longer the one of the description, and tells the names of all that may
    hold messages there.
  - With C(ended) it waits until the broker's figures are none of before, and fails when it still has messages, unless
    C(stalk_abandon) names their queues.
options:
  component:
    description: The broker's component.
    type: str
    choices: [redis, rabbitmq]
    required: true
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
- name: What the old broker has
  stalk.celery.leaving_broker:
    component: redis
  register: old_broker
"""

RETURN = r"""
answers: {description: Whether it is there and tells., type: bool, returned: success}
queues: {description: Queues and lists that may have messages., type: list, returned: success}
"""
