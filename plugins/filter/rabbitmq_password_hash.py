"""A password as RabbitMQ keeps it."""

from __future__ import annotations

from collections.abc import Callable

from ansible_collections.stalk.celery.plugins.module_utils.rabbitmq_password import rabbitmq_password_hash

DOCUMENTATION = r"""
name: rabbitmq_password_hash
short_description: A password as RabbitMQ keeps it
description:
  - The salted digest of C(rabbit_password_hashing_sha256), the same each time so that a second run changes nothing
    (rabbitmq.com/docs/passwords#computing-password-hash).
positional: _input, user
options:
  _input:
    description: The password.
    type: str
    required: true
  user:
    description: The user that it is of; equal passwords of two users are kept differently.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Users
  ansible.builtin.set_fact:
    users: [{name: worker, password_hash: "{{ password | stalk.celery.rabbitmq_password_hash('worker') }}"}]
"""

RETURN = r"""
_value:
  description: The digest in Base64.
  type: str
"""


class FilterModule:
    def filters(self) -> dict[str, Callable[[str, str], str]]:
        return {"rabbitmq_password_hash": rabbitmq_password_hash}
