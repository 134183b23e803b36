from __future__ import annotations

DOCUMENTATION = r"""
name: site_certificate
short_description: A certificate of the user's own and its key, checked
description:
  - Returns the chain and the key as one PEM text, after it made sure that they belong together, are valid now
    and cover the host; otherwise it fails with one line.
options:
  _terms:
    description: Path of the chain, path of the key and the host name, on the control node.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Certificate of the site
  ansible.builtin.copy:
    content: "{{ lookup('stalk.celery.site_certificate', 'site.crt', 'site.key', 'shop.example.org') }}"
    dest: /etc/shop/pki/site.pem
    mode: "0600"
  no_log: true
  diff: false
"""

RETURN = r"""
_raw:
  description: The PEM text.
  type: list
  elements: str
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.stalk.celery.plugins.module_utils.certificates.refusal import CertificateRefusal
from ansible_collections.stalk.celery.plugins.module_utils.certificates.site import site_bundle


class LookupModule(LookupBase):
    def run(self, terms: list[str], variables: Mapping[str, Any] | None = None, **kwargs: Any) -> list[str]:
        certificate, key, host = terms
        try:
            return [site_bundle(certificate, key, host, datetime.now(UTC))]
        except CertificateRefusal as refusal:
            raise AnsibleLookupError(str(refusal)) from None
