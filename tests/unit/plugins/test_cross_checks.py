"""Refusals that depend on more than the description: the inventory, secrets, files and the time."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import edges
import pytest
import yaml
from ansible_collections.stalk.celery.plugins.module_utils.description.describe import describe
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Refused
from ansible_collections.stalk.celery.plugins.module_utils.description.surroundings import Surroundings
from bad_descriptions import ROOT
from mistakes import with_mistakes
from pems import NOW, Pem, make

ONE_HOST = {name: ["one"] for name in ("all", "redis", "rabbitmq", "postgresql", "web", "worker", "beat", "flower")}


def refusals(
    folder: Path,
    values: dict[str, Any],
    groups: dict[str, list[str]] | None = None,
    secrets: dict[str, str] | None = None,
) -> list[str]:
    """The lines without the places at their ends and without the folder of the test."""
    (folder / "stack.yml").write_text(yaml.safe_dump(values))
    surroundings = Surroundings(ONE_HOST if groups is None else groups, secrets or {}, NOW)
    try:
        describe(["stack.yml"], folder, surroundings)
    except Refused as refused:
        return [line.rpartition(" [stack.yml")[0] or line for line in refused.lines]
    return []


def test_one_host_can_run_everything(tmp_path: Path) -> None:
    assert refusals(tmp_path, {}) == []


@pytest.mark.parametrize("name", ["root", "www-data", "redis", "nginx", "postgres", "deploy", "multi-user", "ssl"])
def test_no_app_is_named_as_what_a_server_has(tmp_path: Path, name: str) -> None:
    (line,) = refusals(tmp_path, {"app": {"name": name}})
    assert line.startswith(f'app.name: "{name}" is in use on a server')
    assert refusals(tmp_path, {"app": {"name": f"{name}-app"}}) == []


def test_null_takes_away_the_pool_that_values_yaml_has(tmp_path: Path) -> None:
    values = {"app": {"default_queue": "main"}, "pools": {"default": None, "main": {"queues": ["main"]}}}
    assert refusals(tmp_path, values) == []
    assert refusals(tmp_path, {**values, "web": {"threads": 0}}) == [
        "web.threads: 0 is less than 1; write a whole number from 1 to 256"
    ]


def test_pools_may_be_many(tmp_path: Path) -> None:
    def of(count: int) -> list[str]:
        names = [f"pool-{number}" for number in range(count)]
        pools = {"default": None, **{name: {"queues": [name]} for name in names}}
        return refusals(tmp_path, {"app": {"default_queue": names[0], "queues": names}, "pools": pools})

    assert of(500) == []
    assert of(501) == ["pools: has 501 entries; write at most 500"]


# --- inventory --------------------------------------------------------------------------------------------


def test_every_enabled_component_needs_a_host(tmp_path: Path) -> None:
    assert refusals(tmp_path, {}, {"all": ["one"], "webs": ["one"]}) == [
        "beat.enabled: the inventory has no host in the group beat; add one, or set it to false",
        "broker.topology: the inventory has no host in the group redis; add one",
        "database.kind: the inventory has no host in the group postgresql; add one, or set it to external",
        "flower.enabled: the inventory has no host in the group flower; add one, or set it to false",
        "pools: the inventory has no host in the group worker; add one",
        "web.enabled: the inventory has no host in the group web; add one, or set it to false",
    ]


def test_what_is_switched_off_needs_no_host(tmp_path: Path) -> None:
    off = {name: {"enabled": False} for name in ("beat", "flower", "web")}
    values = {**off, "database": {"kind": "external"}}
    secrets = {"DATABASE_URL": "postgresql://u:p@db.example.org/shop?sslmode=require"}
    assert refusals(tmp_path, values, {"redis": ["one"], "worker": ["one"]}, secrets) == []


@pytest.mark.parametrize(
    ("group", "path"), [("redis", "broker.topology"), ("postgresql", "database.kind"), ("flower", "flower.enabled")]
)
def test_data_has_one_host(tmp_path: Path, group: str, path: str) -> None:
    (line,) = refusals(tmp_path, {}, {**ONE_HOST, group: ["one", "two"]})
    assert line == (
        f"{path}: the group {group} has 2 hosts (one, two), and only one can hold its data; "
        f"keep one host in the group {group} of the inventory"
    )


@pytest.mark.parametrize("count", [1, 2, 4])
def test_sentinel_wants_an_odd_number_of_hosts(tmp_path: Path, count: int) -> None:
    hosts = [f"data{number}" for number in range(count)]
    (line,) = refusals(tmp_path, {"broker": {"topology": "sentinel"}}, {**ONE_HOST, "redis": hosts})
    assert line.startswith(f"broker.topology: is sentinel, and the group redis has {count} host")
    assert line.endswith("; name an odd number of hosts in it, 3 or more")


def test_sentinel_has_three_hosts(tmp_path: Path) -> None:
    groups = {**ONE_HOST, "redis": ["one", "two", "three"]}
    assert refusals(tmp_path, {"broker": {"topology": "sentinel"}}, groups) == []


@pytest.mark.parametrize(("count", "is_fine"), [(1, False), (2, False), (3, True), (4, False), (5, True)])
def test_a_cluster_has_an_odd_number_of_nodes(tmp_path: Path, count: int, is_fine: bool) -> None:
    hosts = [f"mq{number}" for number in range(count)]
    broker = {"kind": "rabbitmq", "topology": "cluster"}
    lines = refusals(tmp_path, {"broker": broker}, {**ONE_HOST, "rabbitmq": hosts})
    said = [
        f"broker.topology: is cluster, and the group rabbitmq has {count} host{'' if count == 1 else 's'} "
        f"({', '.join(hosts[:3])}{', …' if count > 3 else ''}); name an odd number of hosts in it, 3 or more"
    ]
    assert lines == ([] if is_fine else said)


def test_leased_beats_may_be_many(tmp_path: Path) -> None:
    groups = {**ONE_HOST, "beat": ["one", "two", "three", "four"]}
    for scheduler in ("celery_ops.beat:LeasedScheduler", "celery_ops.beat.LeasedScheduler"):
        assert refusals(tmp_path, {"beat": {"scheduler": scheduler}}, groups) == []
    (line,) = refusals(tmp_path, {"beat": {"scheduler": "my.beat:Scheduler"}}, groups)
    assert "the group beat has 4 hosts (four, one, three, …)" in line


def test_one_beat_needs_no_lease(tmp_path: Path) -> None:
    assert refusals(tmp_path, {"beat": {"scheduler": "my.beat:Scheduler"}}) == []


def test_pools_run_on_groups_and_hosts_of_workers(tmp_path: Path) -> None:
    groups = {**ONE_HOST, "worker": ["one", "two"], "all": ["one", "two"], "big": ["two"], "none": []}

    def of(hosts: str) -> list[str]:
        return refusals(tmp_path, {"pools": {"default": {"servers": {"hosts": hosts}}}}, groups)

    assert of("big") == of("two") == of("worker") == of("") == []
    assert of("none") == [
        'pools.default.servers.hosts: the group "none" has no host; add one, or name another group or host'
    ]
    assert of("bigg") == ['pools.default.servers.hosts: the inventory has no group or host "bigg"; did you mean big?']


def test_ports_collide_only_on_a_host(tmp_path: Path) -> None:
    values = {"flower": {"port": 6379}}
    assert refusals(tmp_path, values) == ["flower.port: 6379 is broker.port on one too; choose another port"]
    assert refusals(tmp_path, values, {**ONE_HOST, "flower": ["two"]}) == []
    assert refusals(tmp_path, {"web": {"servers": {"http_port": 443}}}) == [
        "web.servers.http_port: 443 is web.servers.https_port on one too; choose another port"
    ]


# --- secrets ----------------------------------------------------------------------------------------------


def test_a_secret_may_be_given(tmp_path: Path) -> None:
    values = {"app": {"secrets": ["DJANGO_SECRET_KEY", "STRIPE_KEY"]}}
    assert refusals(tmp_path, values, secrets={"STRIPE_KEY": "x"}) == []


def test_the_address_of_an_external_database(tmp_path: Path) -> None:
    values = {"database": {"kind": "external"}, "app": {"secrets": ["DATABASE_URL"]}}
    good = "postgresql://u:p@db.example.org:5432/shop?sslmode=verify-full"
    assert refusals(tmp_path, values, secrets={"DATABASE_URL": good}) == []
    (line,) = refusals(tmp_path, values, secrets={"DATABASE_URL": "mysql://u:hunter2@db.example.org/shop"})
    assert line.startswith("database.kind: is external, and the secret DATABASE_URL is no address of a PostgreSQL")
    assert "hunter2" not in line


EXTERNAL = "database.kind: is external, and "
NOTHING = (
    f"{EXTERNAL}nothing keeps its connection from being in plain text; end the secret DATABASE_URL with "
    "?sslmode=verify-full, or write PGSSLMODE: verify-full into app.env"
)
ADDRESS = (
    f"{EXTERNAL}the sslmode in the secret DATABASE_URL lets the connection be in plain text; "
    "write one of verify-full, verify-ca, require there"
)


@pytest.mark.parametrize(
    ("query", "env", "lines"),
    [
        ("", {}, [NOTHING]),
        ("?connect_timeout=5", {}, [NOTHING]),
        ("?sslmode=prefer", {}, [ADDRESS]),
        ("?sslmode=disable", {"PGSSLMODE": "verify-full"}, [ADDRESS]),
        ("?sslmode=require&sslmode=allow", {}, [ADDRESS]),
        ("?a=b&sslmode=require", {}, []),
        ("?sslmode=verify-ca", {}, []),
        ("", {"PGSSLMODE": "require"}, []),
        ("", {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/a", "PGSSLCERT": "/b", "PGSSLKEY": "/c"}, []),
    ],
)
def test_an_external_database_is_never_spoken_to_in_plain_text(
    tmp_path: Path, query: str, env: dict[str, str], lines: list[str]
) -> None:
    values = {"database": {"kind": "external"}, "app": {"env": env}}
    secrets = {"DATABASE_URL": f"postgresql://u:p@db.example.org/shop{query}"}
    assert refusals(tmp_path, values, secrets=secrets) == lines


@pytest.mark.parametrize("content", ["admin", "admin:", ":secret", "a b:c", "a:ü", "ok:fine\nadmin"])
def test_flower_users_have_a_name_and_a_password(tmp_path: Path, content: str) -> None:
    (line,) = refusals(tmp_path, {}, secrets={"flower-users": content})
    assert "of the secret flower-users is not user:password in ASCII" in line


def test_flower_users_may_be_many(tmp_path: Path) -> None:
    assert refusals(tmp_path, {}, secrets={"flower-users": "# staff\nanna:a\n\nbert:b:c"}) == []


def test_flower_behind_oauth(tmp_path: Path) -> None:
    def of(emails: str, content: str = "oauth2_key=a\noauth2_secret=b") -> list[str]:
        auth = {"kind": "oauth", "emails": emails}
        return refusals(tmp_path, {"flower": {"auth": auth}}, secrets={"flower-users": content})

    for emails in ("a@example.org", "a@example.org|b.c+d@example.com", ".*@example.org"):
        assert of(emails) == []
    for emails in (".*", "^.*@example.org$", "a@example.org|", ".*@example.org|a@b.org", "*@example.org", "x"):
        assert len(of(emails)) == 1, emails
    assert len(of("a@example.org", "oauth2_key=a")) == 1


@pytest.mark.parametrize(
    ("name", "value", "refused"),
    [
        ("STRIPE_SECRET", "x", True),
        ("DB_PASSWORD", "x", True),
        ("SMTP_PASSWD", "x", True),
        ("API_KEY", "x", True),
        ("MAPS_KEY", "x", True),
        ("GITHUB_TOKEN", "x", True),
        ("AUTH_TOKENS", "x", True),
        ("db_password", "x", True),
        ("CACHE_URL", "redis://:x@host/0", True),
        ("ANYTHING", "-----BEGIN EC PRIVATE KEY-----", True),
        ("ANYTHING", "AKIAABCDEFGHIJKLMNOP", True),
        ("CACHE_KEY_PREFIX", "shop", False),
        ("PASSWORD_RESET_TIMEOUT", 3600, False),
        ("USE_SECRET_STORE", True, False),
        ("TOKEN_LIFETIME", "5", False),
        ("JWT_PUBLIC_KEY", "x", False),
        ("MONKEY", "x", False),
        ("SECRET_FILE", "/run/secret", False),
        ("SITE", "https://shop.example.org/a:b@c", False),
        ("EMAIL", "shop@example.org", False),
        ("API_TOKEN", "", False),
    ],
)
def test_what_looks_like_a_secret(tmp_path: Path, name: str, value: object, refused: bool) -> None:
    assert bool(refusals(tmp_path, {"app": {"env": {name: value}}})) is refused


# --- files ------------------------------------------------------------------------------------------------


def provided(folder: Path, secrets: dict[str, str] | None = None) -> list[str]:
    ca = {"certificate": "ca.crt", "key": "ca.key"}
    values = {"tls": {"issuer": "provided", "servers": {"ca": ca}}}
    return [line.replace(str(folder), "") for line in refusals(folder, values, secrets=secrets)]


def test_a_provided_ca_that_serves(tmp_path: Path) -> None:
    make(authority=True).write(tmp_path, "ca")
    assert provided(tmp_path) == []


def test_a_ca_whose_key_is_encrypted(tmp_path: Path) -> None:
    make(authority=True, passphrase="open").write(tmp_path, "ca")
    assert provided(tmp_path, {"PKI_CA_PASSPHRASE": "open"}) == []
    (line,) = provided(tmp_path, {"PKI_CA_PASSPHRASE": "wrong"})
    assert line.startswith("tls.servers.ca.key: /ca.key cannot be decrypted; ")
    (line,) = provided(tmp_path)
    assert line.startswith("tls.servers.ca.key: /ca.key is encrypted; give its passphrase as PKI_CA_PASSPHRASE")


@pytest.mark.parametrize(
    ("pem", "start"),
    [
        (make(), "tls.servers.ca.certificate: /ca.crt 'CN=test' may not sign certificates; "),
        (
            make(authority=True, end=NOW - timedelta(days=1)),
            "tls.servers.ca.certificate: /ca.crt 'CN=test' is valid from 2028-10-08 to 2030-05-31 only; ",
        ),
        (
            make(authority=True, end=NOW + timedelta(days=601)),
            "tls.servers.ca.certificate: /ca.crt 'CN=test' is valid from 2030-06-02 to 2032-01-23 only; ",
        ),
        (
            Pem(make(authority=True).certificate, make().key),
            "tls.servers.ca.key: /ca.key is not the key of /ca.crt; ",
        ),
        (Pem(make(authority=True).certificate, b"no key"), "tls.servers.ca.key: /ca.key holds no PEM private key; "),
        (Pem(b"\0", make().key), "tls.servers.ca.certificate: /ca.crt holds no PEM certificate; "),
    ],
    ids=["no CA", "expired", "not yet valid", "key of another", "key broken", "certificate broken"],
)
def test_a_provided_ca_that_cannot_serve(tmp_path: Path, pem: Pem, start: str) -> None:
    pem.write(tmp_path, "ca")
    (line,) = provided(tmp_path)
    assert line.startswith(start)


def test_both_files_of_a_ca_are_looked_for(tmp_path: Path) -> None:
    (tmp_path / "ca.key").mkdir()
    assert provided(tmp_path) == [
        "tls.servers.ca.certificate: /ca.crt does not exist; "
        "correct the path; it is relative to the file that names it",
        "tls.servers.ca.key: /ca.key is no file; name a PEM file",
    ]


def served(folder: Path, host: str = "shop.example.org") -> list[str]:
    values = {"web": {"host": host, "servers": {"certificate": "web.crt", "key": "web.key"}}}
    return [line.replace(str(folder), "") for line in refusals(folder, values)]


@pytest.mark.parametrize(
    ("host", "names"),
    [
        ("shop.example.org", ("shop.example.org",)),
        ("shop.example.org", ("example.org", "*.example.org")),
        ("192.0.2.7", ("192.0.2.7",)),
    ],
)
def test_a_web_certificate_that_serves(tmp_path: Path, host: str, names: tuple[str, ...]) -> None:
    make(names=names).write(tmp_path, "web")
    assert served(tmp_path, host) == []


def test_a_web_certificate_that_cannot_serve(tmp_path: Path) -> None:
    expired = make(names=("*.shop.example.org", "example.org"), end=NOW - timedelta(days=1))
    Pem(expired.certificate, make().key).write(tmp_path, "web")
    assert served(tmp_path) == [
        "web.servers.certificate: /web.crt is for *.shop.example.org and example.org, not for web.host "
        "shop.example.org; use a certificate with that name, or correct web.host",
        "web.servers.certificate: /web.crt is valid from 2028-10-08 to 2030-05-31 only; put a valid one there",
        "web.servers.key: /web.key is not the key of /web.crt; name the key that belongs to the certificate",
    ]


def test_a_web_certificate_without_names(tmp_path: Path) -> None:
    make().write(tmp_path, "web")
    (line,) = served(tmp_path)
    assert line.startswith("web.servers.certificate: /web.crt is for nothing, not for web.host shop.example.org; ")


def test_an_encrypted_web_key(tmp_path: Path) -> None:
    make(names=("shop.example.org",), passphrase="x").write(tmp_path, "web")
    (line,) = served(tmp_path)
    assert line == "web.servers.key: /web.key is encrypted, and nginx could not start; remove its passphrase"


def test_more_cas(tmp_path: Path) -> None:
    make(authority=True).write(tmp_path, "proxy")
    assert refusals(tmp_path, {"servers": {"extra_ca": "proxy.crt"}}) == []
    assert len(refusals(tmp_path, {"servers": {"extra_ca": "proxy.key"}})) == 1


def test_the_modules_of_a_project(tmp_path: Path) -> None:
    for name in ("manage.py", "requirements.txt", "site/settings/production.py", "site/celery/__init__.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    app = {"servers": {"source": "."}, "settings": "site.settings.production", "celery": "site.celery:app"}
    assert refusals(tmp_path, {"app": {**app, "wsgi": "installed.wsgi"}}) == []
    (line,) = refusals(tmp_path, {"app": {**app, "settings": "site.settings.prod", "wsgi": "installed.wsgi"}})
    assert line == f"app.settings: {tmp_path} has no site/settings/prod.py; correct the module's name"


def test_a_source_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "manage.py").write_text("")
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    assert refusals(tmp_path, {"app": {"servers": {"source": "."}}}) == []
    (line,) = refusals(tmp_path, {"app": {"servers": {"source": "loop"}}})
    assert "cannot be read (Too many levels of symbolic links)" in line


@pytest.mark.parametrize("seed", range(300))
def test_anything_at_all_ends_in_lines(tmp_path: Path, seed: int) -> None:
    for line in refusals(tmp_path, with_mistakes(seed)):
        where, _, rest = line.partition(": ")
        assert where
        assert "; " in rest
        assert "\n" not in line


def test_a_broken_limit_of_one_pool_hides_no_other(tmp_path: Path) -> None:
    pools = {"a": {"queues": ["a"], "time_limit": "soon"}, "b": {"queues": ["b"], "grace": 100}}
    lines = refusals(tmp_path, {"app": {"queues": ["a", "b"]}, "pools": pools})
    assert [line.partition(":")[0] for line in lines] == ["pools.a.time_limit", "pools.b.grace"]


def test_the_example_of_production_is_accepted() -> None:
    inventory = yaml.safe_load((ROOT / "inventory" / "production.example" / "hosts.yml").read_text())
    groups = {name: list(group["hosts"]) for name, group in inventory.items() if "hosts" in group}
    groups["all"] = sorted({host for hosts in groups.values() for host in hosts})
    names = ["stack.yml", "production.example.yml"]
    assert describe(names, ROOT, Surroundings(groups))["pools"]["reports"]["servers"] == {"hosts": "worker2"}


@pytest.mark.parametrize(("values", "path"), edges.EDGES)
def test_a_limit_is_refused_from_its_edge_on(tmp_path: Path, values: dict[str, Any], path: str | None) -> None:
    lines = refusals(tmp_path, values, secrets=edges.SECRETS)
    assert [line.partition(":")[0] for line in lines] == ([path] if path else [])
