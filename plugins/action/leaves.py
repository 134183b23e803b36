"""Gives a host its leaf certificates: keys are made there, certificates are signed here."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.stalk.celery.plugins.module_utils.certificates.authority import (
    PASSPHRASE,
    Authority,
    load_authority,
    own_authority,
)
from ansible_collections.stalk.celery.plugins.module_utils.certificates.duration import read_duration
from ansible_collections.stalk.celery.plugins.module_utils.certificates.leaves import (
    Leaf,
    Validity,
    describe,
    describe_wanted,
    expiry,
    read_leaf,
    read_request,
    sign,
    why_renew,
)
from ansible_collections.stalk.celery.plugins.module_utils.certificates.refusal import CertificateRefusal
from ansible_collections.stalk.celery.plugins.module_utils.secrets_store import SecretError
from ansible_collections.stalk.celery.plugins.module_utils.stack_variables import secrets_store, state_folder

ARGUMENTS = {
    "directory": {"type": "str", "required": True},
    "authority_name": {"type": "str", "required": True},
    "provided_certificate": {"type": "str", "default": ""},
    "provided_key": {"type": "str", "default": ""},
    "lifetime": {"type": "str", "default": "365d"},
    "rotate_before": {"type": "str", "default": "30d"},
    "renew": {"type": "bool", "default": False},
    "leaves": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "sans": {"type": "list", "elements": "str", "required": True},
            "usages": {"type": "list", "elements": "str", "required": True},
        },
    },
}

MODULE = "stalk.celery.leaf_requests"


class ActionModule(ActionBase):
    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(ARGUMENTS)
        self._task_vars = task_vars or {}
        try:
            return self._converge(given, datetime.now(UTC))
        except (CertificateRefusal, SecretError) as refusal:
            raise AnsibleActionFail(str(refusal)) from None
        except OSError as error:
            raise AnsibleActionFail(f"{error.filename}: {error.strerror} on the control node") from None

    def _converge(self, given: dict[str, Any], now: datetime) -> dict[str, Any]:
        leaves = [read_leaf(each) for each in given["leaves"]]
        validity = self._validity(given)
        authority = self._authority(given, now)
        found = self._on_host(given["directory"], leaves)
        if found.get("failed"):
            return found
        requests = {
            name: read_request(name, each["request"]) for name, each in found["leaves"].items() if each["request"]
        }
        held = {name: each["certificate"] for name, each in found["leaves"].items()}
        reasons = {
            leaf.name: reason
            for leaf in leaves
            if (reason := why_renew(leaf, held[leaf.name], requests.get(leaf.name), authority, validity, now))
        }
        trust_changes = authority is None or found["trust"] != authority.trust
        issued: dict[str, str] = {}
        if authority and not self._task.check_mode and (reasons or trust_changes):
            if reasons:
                key = authority.signing_key()
                renewed = [leaf for leaf in leaves if leaf.name in reasons]
                issued = {leaf.name: sign(leaf, requests[leaf.name], authority, key, validity, now) for leaf in renewed}
            trust = authority.trust if trust_changes else None
            installed = self._on_host(given["directory"], leaves, issued, trust)
            if installed.get("failed"):
                return installed

        return {
            "changed": bool(reasons or trust_changes or found["keys_made"]),
            "renewed": reasons,
            "trust_changed": trust_changes,
            "diff": [
                {
                    "before_header": f"{given['directory']}/{leaf.name}.crt ({reasons[leaf.name]})",
                    "after_header": f"{given['directory']}/{leaf.name}.crt",
                    "before": describe(held[leaf.name]),
                    "after": describe(issued.get(leaf.name)) or describe_wanted(leaf),
                }
                for leaf in leaves
                if leaf.name in reasons
            ],
            "expires": {name: expiry(issued.get(name) or pem) for name, pem in held.items()},
        }

    def _on_host(
        self,
        directory: str,
        leaves: list[Leaf],
        certificates: dict[str, str] | None = None,
        trust: str | None = None,
    ) -> dict[str, Any]:
        arguments = {
            "directory": directory,
            "leaves": [leaf.name for leaf in leaves],
            "certificates": certificates or {},
            "trust": trust,
        }
        answer: dict[str, Any] = self._execute_module(MODULE, arguments, task_vars=self._task_vars)
        return answer

    def _validity(self, given: dict[str, Any]) -> Validity:
        try:
            validity = Validity(
                read_duration(given["lifetime"]), read_duration(given["rotate_before"]), renew=given["renew"]
            )
        except ValueError as error:
            raise AnsibleActionFail(str(error)) from None
        if validity.rotate_before >= validity.lifetime:
            raise AnsibleActionFail(
                f"tls.rotate_before: {given['rotate_before']} is not shorter than tls.lifetime "
                f"({given['lifetime']}), so that every run would renew; shorten it"
            )
        return validity

    def _authority(self, given: dict[str, Any], now: datetime) -> Authority | None:
        def passphrase() -> str:
            return secrets_store(self._task_vars, self._templar).get(PASSPHRASE)

        if given["provided_certificate"]:
            certificate, key = (Path(given[each]).expanduser() for each in ("provided_certificate", "provided_key"))
            provided = load_authority(certificate, key, passphrase, now)
            provided.signing_key()
            return provided
        folder = state_folder(self._task_vars, self._templar) / "pki"
        return own_authority(folder, given["authority_name"], passphrase, now, make=not self._task.check_mode)
