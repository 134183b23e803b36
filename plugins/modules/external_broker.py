"""Asks a broker, or a store of results, that somebody else provides, as seen from a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: external_broker
short_description: Ask an external broker whether it can serve
description:
  - Connects from the host as the app's processes will, by TLS and with the secret's user, and tells what stands against
    it - that it cannot be reached, its certificate, the login, its version, its C(maxmemory-policy), rights that Celery
    needs. It changes nothing there, and needs no package on the host.
  - The action C(preflight) fails by what it tells; the module itself does not fail.
options:
  url:
    description: Address of the broker, as the secret has it.
    type: str
    required: true
  protocol:
    description: What it speaks.
    type: str
    choices: [redis, rabbitmq]
    required: true
  app:
    description: Name of the app, which begins its keys in Redis.
    type: str
    required: true
  queues:
    description: Queues that tasks are sent to; none for a store of results.
    type: list
    elements: str
    default: []
  counted:
    description: Queues whose messages to count.
    type: list
    elements: str
    default: []
  ca:
    description: PEM of the CA that signs its certificate; empty for those that the host trusts.
    type: str
    default: ""
  extra_ca:
    description: PEM of CAs that the host is going to trust in addition.
    type: str
    default: ""
  certificate:
    description: PEM of a client's certificate; empty for none.
    type: str
    default: ""
  key:
    description: PEM of that certificate's key.
    type: str
    default: ""
  keys:
    description: The keys of the description that name C(ca) and C(certificate), for what is told.
    type: dict
    required: true
author: [Stalk developers]
attributes:
  check_mode: {support: full}
"""

EXAMPLES = r"""
- name: Store of results
  stalk.celery.external_broker:
    url: "{{ lookup('stalk.celery.secret', 'CELERY_RESULT_BACKEND') }}"
    protocol: redis
    app: shop
    keys: {ca: results.servers.ca, certificate: ""}
"""

RETURN = r"""
problems: {description: Reason and remedy of each thing that stands against it., type: list, returned: always}
untold: {description: What it does not tell., type: list, returned: always}
waiting: {description: Counted queue to its messages., type: dict, returned: when it serves}
delayed: {description: Messages that RabbitMQ keeps for later., type: int, returned: when it serves}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stalk.celery.plugins.module_utils.broker.endpoint import Endpoint, Unfit
from ansible_collections.stalk.celery.plugins.module_utils.broker.fitness import Asked, fitness, waiting
from ansible_collections.stalk.celery.plugins.module_utils.broker_url import RABBITMQ, read_broker_url
from ansible_collections.stalk.celery.plugins.module_utils.stranded import DELAYED_LEVELS


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    url = read_broker_url("url", asked["url"], asked["protocol"])
    endpoint = Endpoint(url, asked["ca"], asked["certificate"], asked["key"], asked["extra_ca"], asked["keys"])
    found = fitness(endpoint, Asked(asked["app"], asked["queues"]))
    told: dict[str, Any] = {"problems": [str(problem) for problem in found.problems], "untold": found.untold}
    if found.problems or not asked["counted"]:
        return told
    delays = [f"celery_delayed_{level}" for level in DELAYED_LEVELS] if url.protocol == RABBITMQ else []
    try:
        counts = waiting(endpoint, asked["app"], [*asked["counted"], *delays])
    except Unfit as problem:
        return {**told, "problems": [str(problem)]}
    delayed = sum(counts.pop(queue) for queue in delays)
    return {**told, "waiting": counts, "delayed": delayed}


def main() -> None:
    module = AnsibleModule(
        {
            "url": {"type": "str", "required": True, "no_log": True},
            "protocol": {"type": "str", "choices": ["redis", "rabbitmq"], "required": True},
            "app": {"type": "str", "required": True},
            "queues": {"type": "list", "elements": "str", "default": []},
            "counted": {"type": "list", "elements": "str", "default": []},
            "ca": {"type": "str", "default": ""},
            "extra_ca": {"type": "str", "default": ""},
            "certificate": {"type": "str", "default": ""},
            "key": {"type": "str", "default": "", "no_log": True},
            "keys": {"type": "dict", "required": True, "no_log": False},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, **answer(module.params))


if __name__ == "__main__":
    main()
