"""The secrets of a stack, for roles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.stalk.celery.plugins.module_utils.secrets_store import SecretError
from ansible_collections.stalk.celery.plugins.module_utils.stack_variables import secrets_store

DOCUMENTATION = r"""
name: secret
short_description: A secret of the stack, made when Stalk owns it
description:
  - Returns the value of the variable C(stalk_secrets[NAME]), else of the file C({{ stalk_state }}/secrets/NAME).
  - When neither exists and Stalk owns the secret (C(DJANGO_SECRET_KEY), C(REDIS_PASSWORD_*),
    C(DATABASE_PASSWORD), C(PKI_CA_PASSPHRASE), C(FLOWER_COOKIE_SECRET) and Flower's users), a random value is
    made and stored with mode 0600. In check mode it is made and not stored.
options:
  _terms:
    description: Names of secrets.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Password of the workers
  ansible.builtin.copy:
    content: "{{ lookup('stalk.celery.secret', 'REDIS_PASSWORD_worker') }}"
    dest: /etc/shop/credentials/worker/REDIS_PASSWORD
    mode: "0600"
  no_log: true
  diff: false
"""

RETURN = r"""
_raw:
  description: The values, without a trailing newline.
  type: list
  elements: str
"""


class LookupModule(LookupBase):
    def run(self, terms: list[str], variables: Mapping[str, Any] | None = None, **kwargs: Any) -> list[str]:
        self.set_options(var_options=variables, direct=kwargs)
        variables = variables or {}
        try:
            store = secrets_store(variables, self._templar)
            save = not variables.get("ansible_check_mode", False)
            return [store.get(str(name), save=save) for name in terms]
        except SecretError as error:
            raise AnsibleLookupError(str(error)) from None
