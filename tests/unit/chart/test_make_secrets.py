"""The Job that makes a stack's Secrets: what is missing comes, what a person gave stays, leaves are renewed."""

from __future__ import annotations

import base64
import copy
import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import broker_servers
import make
import pytest
from cryptography import x509
from kubernetes_secrets import Cluster, MayPass, Refused

NOW = datetime(2030, 1, 1, tzinfo=UTC)
PLAN: dict[str, Any] = {
    "labels": {"app.kubernetes.io/part-of": "shop"},
    "store": "shop-secrets",
    "names": {
        "DJANGO_SECRET_KEY": "shop-secrets",
        "REDIS_PASSWORD_worker": "shop-secrets",
        "DATABASE_PASSWORD": "shop-secrets",
        "flower-users": "shop-secrets",
    },
    "texts": {
        "shop-worker": {
            "CELERY_BROKER_URL": "rediss://worker:{REDIS_PASSWORD_worker}@shop-redis:6379/0",
            "DATABASE_URL": "postgresql://shop:{DATABASE_PASSWORD}@shop-postgresql:5432/shop",
        }
    },
    "digests": {"shop-redis": {"kind": "redis", "passwords": {"worker": "REDIS_PASSWORD_worker"}}},
    "flower": {"kind": "basic", "secret": "flower-users"},
    "database": {},
    "external": {},
}
LEAF: dict[str, Any] = {
    "secret": "shop-redis-tls",
    "name": "redis",
    "sans": ["shop-redis", "127.0.0.1"],
    "usages": ["server"],
}
SIGNED: dict[str, Any] = {
    "own": True,
    "ca": "shop-ca",
    "authority": "shop CA",
    "generation": 1,
    "lifetime": "365d",
    "rotate_before": "30d",
    "leaves": [LEAF],
}
PLAN["tls"] = {"signed": SIGNED}
BY_COMPANY = {**SIGNED, "own": False, "ca": "company"}


class ClusterInMemory(Cluster):
    """An API server in memory."""

    def __init__(self, **given: dict[str, str]) -> None:
        self.secrets = {name: secret(name, data) for name, data in given.items()}
        self.writes: list[str] = []

    def read(self, name: str) -> dict[str, Any] | None:
        return copy.deepcopy(self.secrets.get(name))

    def create(self, body: dict[str, Any]) -> None:
        assert body["metadata"]["name"] not in self.secrets
        self.keep(body)

    def replace(self, body: dict[str, Any]) -> None:
        assert body["metadata"]["name"] in self.secrets
        self.keep(body)

    def keep(self, body: dict[str, Any]) -> None:
        name = body["metadata"]["name"]
        self.writes.append(name)
        self.secrets[name] = copy.deepcopy(body)

    def text(self, name: str, key: str) -> str:
        return base64.b64decode(self.secrets[name]["data"][key]).decode()

    def certificate(self, name: str) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.text(name, "tls.crt").encode())


def secret(name: str, data: dict[str, str]) -> dict[str, Any]:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": encoded}


def converge(cluster: ClusterInMemory, now: datetime = NOW, **changes: Any) -> list[str]:
    cluster.writes.clear()
    make.Stack({**PLAN, **changes}, cluster, now).converge()
    return cluster.writes


def test_everything_is_made_once() -> None:
    cluster = ClusterInMemory()
    assert sorted(converge(cluster)) == ["shop-ca", "shop-redis", "shop-redis-tls", "shop-secrets", "shop-worker"]
    assert converge(cluster) == []
    assert cluster.text("shop-secrets", "flower-users").startswith("admin:")
    assert cluster.secrets["shop-redis-tls"]["type"] == "kubernetes.io/tls"
    cluster.certificate("shop-redis-tls").verify_directly_issued_by(cluster.certificate("shop-ca"))
    assert cluster.text("shop-redis-tls", "ca.crt") == cluster.text("shop-ca", "tls.crt")


def trusted(cluster: ClusterInMemory) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(cluster.text("shop-redis-tls", "ca.crt").encode())


def is_signed_by(cluster: ClusterInMemory, authority: x509.Certificate) -> bool:
    return cluster.certificate("shop-redis-tls").issuer == authority.subject


def test_another_ca_takes_over_in_three_steps() -> None:
    cluster = ClusterInMemory()
    converge(cluster)
    (first,) = trusted(cluster)
    wanted = {"signed": {**SIGNED, "generation": 2}}
    later = NOW + timedelta(days=1)
    assert sorted(converge(cluster, later, tls=wanted)) == ["shop-ca", "shop-redis-tls"]
    assert len(trusted(cluster)) == 2, "both"
    assert is_signed_by(cluster, first)
    assert converge(cluster, later + timedelta(minutes=9), tls=wanted) == [], "not every pod knows it yet"
    converge(cluster, later + timedelta(minutes=10), tls=wanted)
    (second,) = [each for each in trusted(cluster) if each != first]
    assert is_signed_by(cluster, second)
    assert len(trusted(cluster)) == 2, "pods may show a leaf of the one before"
    converge(cluster, later + timedelta(minutes=20), tls=wanted)
    assert trusted(cluster) == [second]
    assert set(cluster.secrets["shop-ca"]["data"]) == {"tls.crt", "tls.key", "generation", "spread-at"}
    assert converge(cluster, later + timedelta(days=1), tls=wanted) == [], "that was all"


def test_a_rollback_does_not_stop_a_ca_that_takes_over() -> None:
    cluster = ClusterInMemory()
    converge(cluster)
    (first,) = trusted(cluster)
    converge(cluster, tls={"signed": {**SIGNED, "generation": 2}})
    for hours in (1, 2, 3):
        converge(cluster, NOW + timedelta(hours=hours))
    assert first not in trusted(cluster)
    (second,) = trusted(cluster)
    converge(cluster, NOW + timedelta(hours=4), tls={"signed": {**SIGNED, "generation": 2}})
    assert trusted(cluster) == [second], "it is the second already"


def test_a_ca_that_is_asked_for_while_another_takes_over_comes_after_it() -> None:
    cluster = ClusterInMemory()
    converge(cluster)
    seen = trusted(cluster)
    for hours, generation in enumerate((2, 3, 3, 3, 3, 3), start=1):
        converge(cluster, NOW + timedelta(hours=hours), tls={"signed": {**SIGNED, "generation": generation}})
        seen += [each for each in trusted(cluster) if each not in seen]
    assert len(seen) == 3
    assert trusted(cluster) == seen[2:]
    assert cluster.text("shop-ca", "generation") == "3"


def test_nothing_is_signed_by_a_ca_that_a_leaf_does_not_trust_yet() -> None:
    """The run that announced it was killed before it wrote the leaves, or a chart before this one wrote them."""
    cluster = ClusterInMemory()
    converge(cluster)
    (first,) = trusted(cluster)
    before = copy.deepcopy(cluster.secrets["shop-redis-tls"])
    wanted = {"signed": {**SIGNED, "generation": 2}}
    converge(cluster, tls=wanted)
    cluster.secrets["shop-redis-tls"] = before
    later = NOW + timedelta(hours=1)
    converge(cluster, later, tls=wanted)
    assert len(trusted(cluster)) == 2
    assert is_signed_by(cluster, first)
    assert converge(cluster, later + timedelta(minutes=9), tls=wanted) == []
    converge(cluster, later + timedelta(minutes=10), tls=wanted)
    assert not is_signed_by(cluster, first)


def test_what_else_is_in_the_secret_of_the_ca_stays() -> None:
    cluster = ClusterInMemory()
    converge(cluster)
    cluster.secrets["shop-ca"]["data"]["note"] = base64.b64encode(b"mine").decode()
    assert converge(cluster) == []
    converge(cluster, tls={"signed": {**SIGNED, "generation": 2}})
    assert cluster.text("shop-ca", "note") == "mine"


def test_a_ca_of_a_release_before_has_the_number_1() -> None:
    cluster = ClusterInMemory()
    converge(cluster)
    del cluster.secrets["shop-ca"]["data"]["generation"]
    assert converge(cluster) == []
    assert converge(cluster, tls={"signed": {**SIGNED, "generation": 2}}) == ["shop-ca", "shop-redis-tls"]


def test_a_ca_that_expired_is_followed_at_once() -> None:
    cluster = ClusterInMemory()
    converge(cluster)
    (first,) = trusted(cluster)
    late = NOW + timedelta(days=3651)
    with pytest.raises(Refused, match=r"Secret shop-ca: tls\.crt: .* only; .* or raise tls\.kubernetes\.generation"):
        converge(cluster, late)
    converge(cluster, late, tls={"signed": {**SIGNED, "generation": 2}})
    assert first not in trusted(cluster)
    assert is_signed_by(cluster, *trusted(cluster))


def test_a_client_of_oauth_is_taken_as_it_was_given() -> None:
    cluster = ClusterInMemory(**{"shop-secrets": {"flower-users": "oauth2_key=a\noauth2_secret=b\n"}})
    converge(cluster, flower={"kind": "oauth", "secret": "flower-users"})
    assert cluster.text("shop-secrets", "flower-users") == "oauth2_key=a\noauth2_secret=b\n"


def test_a_given_secret_that_is_refused_is_refused_before_another_is_made() -> None:
    cluster = ClusterInMemory(users={"flower-users": "sesame"})
    with pytest.raises(Refused, match=r"flower\.auth\.secret"):
        converge(cluster, names={**PLAN["names"], "flower-users": "users"})
    assert cluster.writes == []


def test_what_the_pods_of_the_release_before_read_stays() -> None:
    cluster = ClusterInMemory()
    converge(cluster)
    texts = {"shop-worker": {"CELERY_BROKER_URL": "rediss://redis.example.org/0"}}
    assert converge(cluster, texts=texts, digests={"shop-redis": {"kind": "redis", "passwords": {}}}) == ["shop-worker"]
    assert cluster.text("shop-worker", "CELERY_BROKER_URL") == "rediss://redis.example.org/0"
    assert cluster.text("shop-worker", "DATABASE_URL").endswith("@shop-postgresql:5432/shop")
    assert len(cluster.text("shop-redis", "worker")) == 64


def test_rabbitmq_gets_a_salted_digest_of_each_password_and_the_same_each_time() -> None:
    passwords = {"worker": "REDIS_PASSWORD_worker", "web": "REDIS_PASSWORD_worker"}
    digests = {"shop-rabbitmq": {"kind": "rabbitmq", "passwords": passwords}}
    cluster = ClusterInMemory()
    assert "shop-rabbitmq" in converge(cluster, digests=digests)
    password = cluster.text("shop-secrets", "REDIS_PASSWORD_worker").encode()
    kept = [base64.b64decode(cluster.text("shop-rabbitmq", user)) for user in passwords]
    assert [hashlib.sha256(digest[:4] + password).digest() for digest in kept] == [digest[4:] for digest in kept]
    assert kept[0] != kept[1]
    assert converge(cluster, digests=digests) == []


def test_a_plan_of_leaves_alone_changes_no_password() -> None:
    cluster = ClusterInMemory()
    converge(cluster)
    cluster.secrets["shop-secrets"] = secret("shop-secrets", {"REDIS_PASSWORD_worker": "another"})
    leaves: dict[str, Any] = {"names": {}, "texts": {}, "digests": {}, "flower": {}}
    assert converge(cluster, NOW + timedelta(days=340), **leaves) == ["shop-redis-tls"]


def test_what_a_person_gave_stays_and_what_follows_from_it_is_made() -> None:
    cluster = ClusterInMemory(**{"shop-secrets": {"REDIS_PASSWORD_worker": "a/b@c"}})
    converge(cluster)
    assert cluster.text("shop-secrets", "REDIS_PASSWORD_worker") == "a/b@c"
    assert cluster.text("shop-worker", "CELERY_BROKER_URL") == "rediss://worker:a%2Fb%40c@shop-redis:6379/0"
    assert len(cluster.text("shop-redis", "worker")) == 64


def test_a_secret_of_the_users_own_is_only_read() -> None:
    names = {**PLAN["names"], "REDIS_PASSWORD_worker": "mine"}
    cluster = ClusterInMemory(mine={"REDIS_PASSWORD_worker": "first"})
    assert "mine" not in converge(cluster, names=names)
    cluster.secrets["mine"] = secret("mine", {"REDIS_PASSWORD_worker": "second"})
    assert sorted(converge(cluster, names=names)) == ["shop-redis", "shop-worker"]
    assert ":second@" in cluster.text("shop-worker", "CELERY_BROKER_URL")


def test_a_leaf_is_renewed_before_its_end_with_the_same_key() -> None:
    cluster = ClusterInMemory()
    converge(cluster)
    first, key = cluster.certificate("shop-redis-tls"), cluster.text("shop-redis-tls", "tls.key")
    assert converge(cluster, NOW + timedelta(days=334)) == []
    assert converge(cluster, NOW + timedelta(days=336)) == ["shop-redis-tls"]
    assert cluster.certificate("shop-redis-tls").not_valid_after_utc > first.not_valid_after_utc
    assert cluster.text("shop-redis-tls", "tls.key") == key


def test_a_leaf_follows_its_names() -> None:
    cluster = ClusterInMemory()
    converge(cluster)
    leaves = [{**LEAF, "sans": ["other"]}]
    assert converge(cluster, tls={"signed": {**SIGNED, "leaves": leaves}}) == ["shop-redis-tls"]


def test_a_provided_authority_signs() -> None:
    maker = ClusterInMemory()
    converge(maker)
    authority = {key: maker.text("shop-ca", key) for key in ("tls.crt", "tls.key")}
    cluster = ClusterInMemory(company=authority)
    assert "company" not in converge(cluster, tls={"signed": BY_COMPANY})
    cluster.certificate("shop-redis-tls").verify_directly_issued_by(maker.certificate("shop-ca"))


EXTERNAL: dict[str, Any] = {
    "names": {"CELERY_BROKER_URL": "mine"},
    "texts": {
        "shop-worker": {"CELERY_BROKER_URL": "{=CELERY_BROKER_URL}"},
        "shop-scaler": {
            "address": "{=BROKER_ADDRESS}",
            "username": "{=BROKER_USERNAME}",
            "password": "{=BROKER_PASSWORD}",
            "vhostName": "{=BROKER_PLACE}",
        },
    },
    "digests": {},
    "flower": {},
    "tls": {},
}
BROKER: dict[str, Any] = {
    "secret": "CELERY_BROKER_URL",
    "protocol": "redis",
    "app": "shop",
    "queues": ["celery"],
    "ca": "its-ca",
    "certificate": "our-leaf",
    "scaled": True,
}
RESULTS: dict[str, Any] = {
    **BROKER,
    "secret": "CELERY_RESULT_BACKEND",
    "queues": [],
    "certificate": "",
    "scaled": False,
}
TRUST = {
    "its-ca": {"ca.crt": broker_servers.AUTHORITY.pair.certificate},
    "our-leaf": {"tls.crt": broker_servers.CLIENT.certificate, "tls.key": broker_servers.CLIENT.key},
}


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with broker_servers.redis_server(tmp_path_factory.mktemp("redis"), {}, wants_certificates=False) as started:
        yield started


def test_an_external_broker_is_told_to_the_app_and_to_keda(port: int) -> None:
    url = f"rediss://guest:a%2Fb%40c@localhost:{port}/0"
    cluster = ClusterInMemory(mine={"CELERY_BROKER_URL": f"{url}\n"}, **TRUST)
    assert sorted(converge(cluster, **EXTERNAL, external={"broker": BROKER})) == ["shop-scaler", "shop-worker"]
    assert cluster.text("shop-worker", "CELERY_BROKER_URL") == url
    found = [cluster.text("shop-scaler", key) for key in ("address", "username", "password", "vhostName")]
    assert found == [f"localhost:{port}", "guest", "a/b@c", "0"]


def test_a_store_of_results_of_somebody_else_is_asked_too(port: int) -> None:
    names = {"CELERY_RESULT_BACKEND": "mine"}
    texts = {"shop-worker": {"CELERY_RESULT_BACKEND": "{=CELERY_RESULT_BACKEND}"}}
    plan = {**EXTERNAL, "names": names, "texts": texts, "external": {"results": RESULTS}}
    url = f"rediss://guest:a%2Fb%40c@localhost:{port}/0"
    assert converge(ClusterInMemory(mine={"CELERY_RESULT_BACKEND": url}, **TRUST), **plan) == ["shop-worker"]
    with pytest.raises(
        Refused, match=r"^results\.kind: is external, and the user elsewhere of .* may not use the keys"
    ):
        converge(ClusterInMemory(mine={"CELERY_RESULT_BACKEND": url.replace("guest", "elsewhere")}, **TRUST), **plan)


def test_an_external_broker_that_cannot_serve_changes_nothing(tmp_path: Path) -> None:
    with broker_servers.redis_server(tmp_path, {"maxmemory-policy": "allkeys-lru"}) as port:
        url = f"rediss://teller:a%2Fb%40c@localhost:{port}/0"
        cluster = ClusterInMemory(mine={"CELERY_BROKER_URL": url}, **TRUST)
        with pytest.raises(
            Refused, match=r"^broker\.kind: is external, and localhost:\d+ has the maxmemory-policy allk"
        ):
            converge(cluster, **EXTERNAL, external={"broker": BROKER})
    assert cluster.writes == []
    with pytest.raises(MayPass, match=r"cannot be reached \(Connection refused\)"):
        converge(cluster, **EXTERNAL, external={"broker": BROKER})


def test_a_secret_that_lacks_the_ca_is_named() -> None:
    given = {**TRUST, "its-ca": {"tls.crt": "x"}}
    with pytest.raises(Refused, match=r"^broker\.kubernetes\.ca: the Secret its-ca has no ca\.crt; add it in PEM$"):
        converge(
            ClusterInMemory(mine={"CELERY_BROKER_URL": "rediss://h/0"}, **given),
            **EXTERNAL,
            external={"broker": BROKER},
        )


@pytest.mark.parametrize(
    ("url", "line"),
    [
        (
            "redis://u:sesame@h/0",
            "broker.kind: is external, and nothing keeps its connection from being in plain text; "
            "begin the secret CELERY_BROKER_URL with rediss://",
        ),
        (
            "rediss://u:sesame@h/2",
            "broker.kind: is external, and the secret CELERY_BROKER_URL names the database 2 where KEDA looks into 0; "
            "end it with /0, or let hpa scale the pools",
        ),
    ],
    ids=["plain text", "another database"],
)
def test_an_address_that_cannot_serve_is_refused(url: str, line: str) -> None:
    with pytest.raises(Refused) as refused:
        converge(ClusterInMemory(mine={"CELERY_BROKER_URL": url}), **EXTERNAL, external={"broker": BROKER})
    assert str(refused.value) == line


DATABASE: dict[str, Any] = {
    "names": {"DATABASE_URL": "mine"},
    "texts": {},
    "digests": {},
    "flower": {},
    "tls": {},
}


def converge_database(url: str, mode_is_stated: bool) -> None:
    plan = {"encrypted": ["verify-full", "verify-ca", "require"], "mode_is_stated": mode_is_stated}
    converge(ClusterInMemory(mine={"DATABASE_URL": url}), **DATABASE, database=plan)


@pytest.mark.parametrize(
    ("query", "mode_is_stated"), [("?sslmode=verify-full", False), ("?a=b&sslmode=require", False), ("", True)]
)
def test_an_external_database_that_is_spoken_to_in_encrypted_form_is_taken(query: str, mode_is_stated: bool) -> None:
    converge_database(f"postgresql://u:sesame@db.example.org/shop{query}", mode_is_stated)


@pytest.mark.parametrize(
    ("url", "mode_is_stated", "line"),
    [
        (
            "postgresql://u:sesame@db.example.org/shop",
            False,
            "nothing keeps its connection from being in plain text; end the secret DATABASE_URL with "
            "?sslmode=verify-full, or write PGSSLMODE: verify-full into app.env",
        ),
        (
            "postgresql://u:sesame@db.example.org/shop?sslmode=disable",
            True,
            "the sslmode in the secret DATABASE_URL lets the connection be in plain text; "
            "write one of verify-full, verify-ca, require there",
        ),
        *(
            (
                url,
                True,
                "the secret DATABASE_URL is no address of a PostgreSQL database; "
                "write it as postgresql://USER:PASSWORD@HOST:5432/DATABASE?sslmode=verify-full",
            )
            for url in ("mysql://u:sesame@db.example.org/shop", "postgresql://u:sesame@[db/shop")
        ),
    ],
    ids=["nothing", "plain text", "another software", "no host"],
)
def test_an_external_database_is_never_spoken_to_in_plain_text(url: str, mode_is_stated: bool, line: str) -> None:
    with pytest.raises(Refused) as refused:
        converge_database(url, mode_is_stated)
    assert str(refused.value) == f"database.kind: is external, and {line}"


def test_the_scalers_password_is_as_it_was_given() -> None:
    cluster = ClusterInMemory(**{"shop-secrets": {"REDIS_PASSWORD_worker": "a/b@c"}})
    converge(cluster, texts={"shop-scaler": {"password": "{=REDIS_PASSWORD_worker}"}})
    assert cluster.text("shop-scaler", "password") == "a/b@c"


def given_leaf(**changes: Any) -> dict[str, str]:
    """A leaf as a person would bring it, issued at NOW with these changes of its description."""
    maker = ClusterInMemory()
    converge(maker, tls={"signed": {**SIGNED, "leaves": [{**LEAF, **changes}]}})
    return {key: maker.text("shop-redis-tls", key) for key in ("ca.crt", "tls.crt", "tls.key")}


def test_given_leaves_are_looked_at_and_not_touched() -> None:
    cluster = ClusterInMemory(**{"shop-redis-tls": given_leaf()})
    assert sorted(converge(cluster, tls={"given": [LEAF]})) == ["shop-redis", "shop-secrets", "shop-worker"]


@pytest.mark.parametrize(
    ("leaf", "line"),
    [
        (
            {},
            "tls.issuer: is provided without a CA in tls.kubernetes.ca, and the Secret shop-redis-tls lacks ca.crt; "
            "add it in PEM, or name the CA",
        ),
        (
            {**given_leaf(), "tls.key": ""},
            "tls.issuer: is provided without a CA in tls.kubernetes.ca, and the Secret shop-redis-tls lacks tls.key; "
            "add it in PEM, or name the CA",
        ),
        (
            {**given_leaf(), "tls.crt": "x"},
            "Secret shop-redis-tls: the certificate is no PEM certificate; issue it again",
        ),
        (
            {**given_leaf(), "tls.key": given_leaf()["tls.key"]},
            "Secret shop-redis-tls: the certificate is not of the key beside it; issue it again",
        ),
        (
            given_leaf(sans=["shop-redis"]),
            "Secret shop-redis-tls: the certificate lacks the names 127.0.0.1; issue it again",
        ),
        (
            given_leaf(usages=["client"]),
            "Secret shop-redis-tls: the certificate lacks the usage server auth; issue it again",
        ),
    ],
    ids=["nothing", "half", "no certificate", "another key", "other names", "another usage"],
)
def test_a_given_leaf_that_cannot_serve_is_refused(leaf: dict[str, str], line: str) -> None:
    with pytest.raises(Refused) as refused:
        converge(ClusterInMemory(**{"shop-redis-tls": leaf}), tls={"given": [LEAF]})
    assert str(refused.value) == line


def test_a_given_leaf_that_is_a_login_has_its_components_name() -> None:
    leaf = {**LEAF, "logs_in": True}
    cluster = ClusterInMemory(**{"shop-redis-tls": given_leaf()})
    converge(cluster, tls={"given": [leaf]})
    said = (
        "Secret shop-redis-tls: the certificate has the common name redis, and RabbitMQ knows worker; "
        "issue it again, or set broker.login to password"
    )
    with pytest.raises(Refused, match=re.escape(said)):
        converge(cluster, tls={"given": [{**leaf, "name": "worker"}]})


def test_a_given_leaf_that_has_ended_is_refused() -> None:
    cluster = ClusterInMemory(**{"shop-redis-tls": given_leaf()})
    with pytest.raises(Refused, match=r"is valid from 2029-12-31 to 2031-01-01 only; issue it again"):
        converge(cluster, NOW + timedelta(days=366), tls={"given": [LEAF]})


def test_leaves_of_cert_manager_are_none_of_its_business() -> None:
    assert sorted(converge(ClusterInMemory(), tls={})) == ["shop-redis", "shop-secrets", "shop-worker"]


REFUSED: dict[str, tuple[dict[str, dict[str, str]], dict[str, Any], str]] = {
    "a name that Stalk does not make": (
        {},
        {"names": {"STRIPE_KEY": "shop-secrets"}, "flower": {}},
        "secret STRIPE_KEY: is not in the Secret shop-secrets, and Stalk does not make it; add the key, "
        "or name a Secret of your own that has it (existingSecret)",
    ),
    "a Secret that is missing": (
        {},
        {"names": {"DATABASE_URL": "mine"}, "flower": {}},
        "secret DATABASE_URL: the key is missing in the Secret mine; add it to it, after you made it",
    ),
    "a wrong key": (
        {"mine": {"URL": "x"}},
        {"names": {"DATABASE_URL": "mine"}, "flower": {}},
        "secret DATABASE_URL: the key is missing in the Secret mine; add it there",
    ),
    "an empty value": (
        {"mine": {"DATABASE_URL": "\n"}},
        {"names": {"DATABASE_URL": "mine"}, "flower": {}},
        "secret DATABASE_URL: the key is empty in the Secret mine; add it there",
    ),
    "a client of OAuth that nobody gave": (
        {},
        {"flower": {"kind": "oauth", "secret": "flower-users"}},
        "secret flower-users: is not in the Secret shop-secrets, and Stalk does not make it; add the key, "
        "or name a Secret of your own that has it (existingSecret)",
    ),
    "half a client of OAuth": (
        {"shop-secrets": {"flower-users": "oauth2_key=sesame\n"}},
        {"flower": {"kind": "oauth", "secret": "flower-users"}},
        "flower.auth.secret: the secret flower-users has no line oauth2_secret=…, which oauth needs; "
        "write the lines oauth2_key=… and oauth2_secret=… into it",
    ),
    "users without a password": (
        {"shop-secrets": {"flower-users": "# staff\nanna:a\nsesame"}},
        {},
        "flower.auth.secret: line 3 of the secret flower-users is not user:password in ASCII; correct it in the secret",
    ),
    "a CA that is missing": (
        {},
        {"tls": {"signed": BY_COMPANY}},
        "tls.kubernetes.ca: the Secret company is missing; make it, with tls.crt and tls.key",
    ),
    "a broken CA": (
        {"company": {"tls.crt": "x", "tls.key": "y"}},
        {"tls": {"signed": BY_COMPANY}},
        "Secret company: tls.crt: holds no PEM certificate; put the CA's certificate there",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_said_in_a_line(case: str) -> None:
    given, changes, line = REFUSED[case]
    with pytest.raises(Refused) as refused:
        converge(ClusterInMemory(**given), **changes)
    assert str(refused.value) == line
