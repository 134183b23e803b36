"""Makes the Secrets of a stack that are missing, and renews its leaf certificates: `make.py PLAN`.

What a person gave is looked at and never changed. What is made once (passwords, the CA) stays; what follows from it
(URLs, digests, leaves) is written again when it no longer fits.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ansible_collections.stalk.celery.plugins.module_utils.backup_identity import IDENTITY, BackupIdentity, new_identity
from ansible_collections.stalk.celery.plugins.module_utils.backups import BackupRefused
from ansible_collections.stalk.celery.plugins.module_utils.broker.endpoint import Endpoint, Unreachable
from ansible_collections.stalk.celery.plugins.module_utils.broker.fitness import Asked, fitness
from ansible_collections.stalk.celery.plugins.module_utils.broker_url import (
    REDIS,
    BrokerRefused,
    BrokerUrl,
    read_broker_url,
)
from ansible_collections.stalk.celery.plugins.module_utils.certificates.authority import (
    Authority,
    load_authority,
)
from ansible_collections.stalk.celery.plugins.module_utils.certificates.duration import read_duration
from ansible_collections.stalk.celery.plugins.module_utils.certificates.leaves import (
    Validity,
    read_leaf,
    sign,
    why_renew,
    why_unfit,
)
from ansible_collections.stalk.celery.plugins.module_utils.certificates.refusal import CertificateRefusal
from ansible_collections.stalk.celery.plugins.module_utils.database_url import why_refused
from ansible_collections.stalk.celery.plugins.module_utils.flower_secret import flower_refusals
from ansible_collections.stalk.celery.plugins.module_utils.rabbitmq_password import rabbitmq_password_hash
from ansible_collections.stalk.celery.plugins.module_utils.secrets_store import is_generated, random_text
from authority_secret import AuthoritySecret, pem_of
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from kubernetes_secrets import Cluster, Data, MayPass, Refused, Store

TLS = "kubernetes.io/tls"


@contextmanager
def refusals_of_backups() -> Iterator[None]:
    try:
        yield
    except BackupRefused as refused:
        raise Refused(str(refused)) from None


class Stack:
    def __init__(self, plan: Mapping[str, Any], cluster: Cluster, now: datetime) -> None:
        self.plan = plan
        self.store = Store(cluster, plan["labels"])
        self.now = now
        self.values: Data = {}

    def converge(self) -> None:
        made = self.make_passwords()
        self.read_flower()
        self.read_database()
        self.read_external()
        if made:
            self.add(self.plan["store"], made)
        for name, templates in self.plan["texts"].items():
            self.add(name, {key: self.filled(text) for key, text in templates.items()})
        for name, users in self.plan["digests"].items():
            digest = DIGESTS[users["kind"]]
            self.add(name, {user: digest(self.values[of], user) for user, of in users["passwords"].items()})
        self.make_leaves()

    def add(self, name: str, data: Data) -> None:
        """What else the Secret has is for pods of the release before, which go on when this one fails."""
        self.store.write(name, {**self.store.data(name), **data})

    def make_passwords(self) -> Data:
        """Those that are new, which are written when nothing given is refused."""
        made: Data = {}
        own, users = self.plan["store"], self.users()
        for name, secret in self.plan["names"].items():
            value = self.store.data(secret).get(name, "").rstrip("\r\n")
            if not value and secret == own and name not in self.store.data(secret):
                if not is_generated(name, users):
                    raise Refused(
                        f"secret {name}: is not in the Secret {secret}, and Stalk does not make it; add the key, "
                        "or name a Secret of your own that has it (existingSecret)"
                    )
                value = made[name] = self.made_up(name, users)
            if not value:
                state = "is empty" if name in self.store.data(secret) else "is missing"
                where = "there" if self.store.exists(secret) else "to it, after you made it"
                raise Refused(f"secret {name}: the key {state} in the Secret {secret}; add it {where}")
            self.values[name] = value
        self.check_identity()
        return made

    def check_identity(self) -> None:
        """The private key of backups, which the image has to read as well."""
        if IDENTITY in self.values:
            with refusals_of_backups():
                BackupIdentity(self.values[IDENTITY])

    @staticmethod
    def made_up(name: str, users: str) -> str:
        if name == IDENTITY:
            with refusals_of_backups():
                return new_identity()
        return f"admin:{random_text()}" if name == users else random_text()

    def users(self) -> str:
        """The secret with Flower's users, who are made up where nobody gave any. A client of OAuth cannot be."""
        flower = self.plan["flower"]
        return str(flower["secret"]) if flower and flower["kind"] == "basic" else ""

    def read_flower(self) -> None:
        flower = self.plan["flower"]
        if not flower:
            return
        name = flower["secret"]
        for refused in flower_refusals(flower["kind"], name, self.values[name]):
            raise Refused(f"flower.auth.secret: {'; '.join(refused)}")

    def read_database(self) -> None:
        plan = self.plan["database"]
        if plan and (refused := why_refused(self.values["DATABASE_URL"], plan["encrypted"], plan["mode_is_stated"])):
            raise Refused(f"database.kind: {'; '.join(refused)}")

    def read_external(self) -> None:
        """The broker and the store of results that somebody else provides: what follows from the addresses, and whether
        they can serve."""
        urls = {part: self.read_address(part, plan) for part, plan in self.plan["external"].items()}
        if broker := urls.get("broker"):
            self.values |= {
                "BROKER_ADDRESS": broker.address,
                "BROKER_USERNAME": broker.username,
                "BROKER_PASSWORD": broker.password,
                "BROKER_PLACE": broker.place,
            }
        for part, url in urls.items():
            self.ask_external(f"{part}.kind", url, self.plan["external"][part])

    def read_address(self, part: str, plan: Mapping[str, Any]) -> BrokerUrl:
        name = plan["secret"]
        try:
            url = read_broker_url(name, self.values[name], plan["protocol"], f"{part}.kind")
        except BrokerRefused as refusal:
            raise Refused(str(refusal)) from None
        if plan["scaled"] and url.protocol == REDIS and url.place != "0":
            raise Refused(
                f"broker.kind: is external, and the secret {name} names the database {url.place} "
                "where KEDA looks into 0; end it with /0, or let hpa scale the pools"
            )
        return url

    def ask_external(self, path: str, url: BrokerUrl, plan: Mapping[str, Any]) -> None:
        keys = {key: f"{path.removesuffix('kind')}kubernetes.{key}" for key in ("ca", "certificate")}
        pems = {
            "ca": self.given(keys["ca"], plan["ca"], "ca.crt"),
            "certificate": self.given(keys["certificate"], plan["certificate"], "tls.crt"),
            "key": self.given(keys["certificate"], plan["certificate"], "tls.key"),
        }
        found = fitness(Endpoint(url, **pems, keys=keys), Asked(plan["app"], plan["queues"]))
        for untold in found.untold:
            print(f"{path}: {untold}", flush=True)
        if found.problems:
            kind = MayPass if isinstance(found.problems[0], Unreachable) else Refused
            raise kind("\n".join(f"{path}: is external, and {problem}" for problem in found.problems))

    def given(self, path: str, name: str, key: str) -> str:
        """The key of a Secret of the user's own; empty where none is named."""
        if not name:
            return ""
        text = self.store.data(name).get(key, "")
        if not text:
            raise Refused(f"{path}: the Secret {name} has no {key}; add it in PEM")
        return text

    def filled(self, template: str) -> str:
        """The text with its secrets: `{NAME}` as a part of a URL, `{=NAME}` as it is."""

        def value(found: re.Match[str]) -> str:
            secret = self.values[found[2]]
            return secret if found[1] else quote(secret, safe="")

        return re.sub(r"\{(=?)(\w+)\}", value, template)

    def make_leaves(self) -> None:
        plan = self.plan["tls"]
        try:
            for asked in plan.get("given", ()):
                self.check_leaf(asked)
            if "signed" in plan:
                self.sign_leaves(plan["signed"])
        except (CertificateRefusal, ValueError) as error:
            raise Refused(str(error)) from None

    def check_leaf(self, asked: dict[str, Any]) -> None:
        """A leaf that a person made, before a pod waits for it or nobody takes it."""
        name, leaf = asked["secret"], read_leaf(asked)
        held = self.store.data(name)
        for key in ("ca.crt", "tls.crt", "tls.key"):
            if not held.get(key):
                raise Refused(
                    f"tls.issuer: is provided without a CA in tls.kubernetes.ca, and the Secret {name} lacks {key}; "
                    "add it in PEM, or name the CA"
                )
        if reason := why_unfit(leaf, held["tls.crt"], public_key_of(held["tls.key"]), self.now):
            raise Refused(f"Secret {name}: the certificate {reason}; issue it again")
        if asked.get("logs_in") and (other := common_name_of(held["tls.crt"])) != leaf.name:
            raise Refused(
                f"Secret {name}: the certificate has the common name {other or '(none)'}, and RabbitMQ knows "
                f"{leaf.name}; issue it again, or set broker.login to password"
            )

    def sign_leaves(self, plan: Mapping[str, Any]) -> None:
        validity = Validity(read_duration(plan["lifetime"]), read_duration(plan["rotate_before"]))
        if validity.rotate_before >= validity.lifetime:
            raise Refused(
                f"tls.rotate_before: {plan['rotate_before']} is not shorter than tls.lifetime "
                f"({plan['lifetime']}), so that every run would renew; shorten it"
            )
        data = self.store.data(plan["ca"])
        if not data and not plan["own"]:
            raise Refused(f"tls.kubernetes.ca: the Secret {plan['ca']} is missing; make it, with tls.crt and tls.key")
        for key in ("tls.crt", "tls.key") if data else ():
            if key not in data:
                raise Refused(f"Secret {plan['ca']}: the key {key} is missing; add it in PEM")
        # The files of the CA are gone after this run.
        with tempfile.TemporaryDirectory() as folder:
            if plan["own"]:
                self.sign_by_own(plan, AuthoritySecret(plan["ca"], data, plan, Path(folder), self.now), validity)
            else:
                self.make_every_leaf(plan, given_authority(plan["ca"], data, Path(folder), self.now), validity)

    def sign_by_own(self, plan: Mapping[str, Any], secret: AuthoritySecret, validity: Validity) -> None:
        secret.unpack()
        if secret.is_under_way and self.make_every_leaf(plan, secret.authority(), validity):
            # Pods have to get what an earlier run should have written; no step before that.
            self.store.write(plan["ca"], secret.data("", has_spread=True), TLS)
            return
        step = secret.step()
        authority = secret.authority()
        if step:
            print(f"Secret {plan['ca']}: {step}", flush=True)
        self.store.write(plan["ca"], secret.data(step), TLS)
        self.make_every_leaf(plan, authority, validity)

    def make_every_leaf(self, plan: Mapping[str, Any], authority: Authority, validity: Validity) -> bool:
        """Whether one was written."""
        written = [self.make_leaf(asked, authority, validity) for asked in plan["leaves"]]
        return any(written)

    def make_leaf(self, asked: dict[str, Any], authority: Authority, validity: Validity) -> bool:
        leaf = read_leaf(asked)
        held = self.store.data(asked["secret"])
        key = key_of(held.get("tls.key", ""))
        request = request_of(key, leaf.name)
        certificate = held.get("tls.crt")
        if reason := why_renew(leaf, certificate, request, authority, validity, self.now):
            print(f"leaf {leaf.name}: the certificate {reason}", flush=True)
            certificate = sign(leaf, request, authority, authority.signing_key(), validity, self.now)
        data = {"ca.crt": authority.trust, "tls.crt": certificate or "", "tls.key": pem_of(key)}
        return self.store.write(asked["secret"], data, TLS)


def given_authority(secret: str, data: Data, folder: Path, now: datetime) -> Authority:
    for key in ("tls.crt", "tls.key"):
        (folder / key).write_text(data[key])
    try:
        return load_authority(folder / "tls.crt", folder / "tls.key", refuse_passphrase, now)
    except CertificateRefusal as refusal:
        raise Refused(str(refusal).replace(f"{folder}/", f"Secret {secret}: ")) from None


def redis_digest(password: str, _: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()


# As each broker keeps the password of a user.
DIGESTS = {"redis": redis_digest, "rabbitmq": rabbitmq_password_hash}


def refuse_passphrase() -> str:
    raise Refused("the CA's key is encrypted; put it into the Secret without a passphrase")


def key_of(pem: str) -> ec.EllipticCurvePrivateKey:
    """The leaf's key, a new one when there is none that serves."""
    try:
        key = serialization.load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError):
        return ec.generate_private_key(ec.SECP256R1())
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else ec.generate_private_key(ec.SECP256R1())


def public_key_of(pem: str) -> PublicKeyTypes | None:
    """None when there is no key in it."""
    try:
        return serialization.load_pem_private_key(pem.encode(), None).public_key()
    except (ValueError, TypeError):
        return None


def common_name_of(pem: str) -> str:
    names = x509.load_pem_x509_certificate(pem.encode()).subject.get_attributes_for_oid(x509.oid.NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def request_of(key: ec.EllipticCurvePrivateKey, name: str) -> x509.CertificateSigningRequest:
    subject = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, name)])
    return x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())


def main() -> None:
    plan = json.loads(Path(sys.argv[1]).read_text())
    try:
        Stack(plan, Cluster.of_this_pod(), datetime.now(UTC)).converge()
    except Refused as refused:
        print(f"stalk: {refused}", file=sys.stderr)
        # The Job runs again after the one status, and has failed after the other.
        sys.exit(os.EX_TEMPFAIL if isinstance(refused, MayPass) else 1)


if __name__ == "__main__":
    main()
