"""What the targets derive differently on purpose, and why. Whatever else differs is a fault."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

ABSENT = "(absent)"
ANYTHING = "(anything)"

PLACES = "a host has one folder for each app and component, a container has one app and one component"
ADDRESSES = "the parts are on one host here, and pods reach each other by Services"
UNITS = "systemd starts and stops it"
LIBPQ = "libpq reads no key without a certificate"
IMAGE = "the image says it"
SYSTEM_CAS = "/etc/ssl/certs/ca-certificates.crt"
SWITCHED_OFF = "the role knows no switches; whoever is off gets neither its password nor a certificate"


@dataclass(frozen=True)
class Difference:
    """Paths as in `worker high/environment/SIZE`, with `*`. In the values stand {app}, {component} and {pool}, and
    {process}: `beat` or `worker-high`."""

    paths: str
    servers: Any
    kubernetes: Any
    why: str

    def explains(self, path: str, servers: Any, kubernetes: Any, app: str) -> bool:
        component, _, pool = path.partition("/")[0].partition(" ")
        words = {"app": app, "component": component, "pool": pool, "process": f"{component}-{pool}".strip("-")}

        def agrees(expected: Any, found: Any) -> bool:
            wanted = expected.format(**words) if isinstance(expected, str) else expected
            return wanted in (ANYTHING, found)

        return fnmatchcase(path, self.paths) and agrees(self.servers, servers) and agrees(self.kubernetes, kubernetes)


def on_purpose(stack: Mapping[str, Any]) -> Iterator[Difference]:
    timeout = stack["web"]["timeout"]
    port = stack["web"]["servers"]["https_port"]
    origin = f"https://{stack['web']['host']}"

    if stack["broker"]["kind"] == "external":
        named = "the CA and the certificate have keys of their own on each target"
        yield Difference("*/environment/CELERY_TLS_CA", SYSTEM_CAS, "/etc/stalk/broker/ca.crt", named)
        for key, file in (("CERT", "crt"), ("KEY", "key")):
            yield Difference(f"*/environment/CELERY_TLS_{key}", "", f"/etc/stalk/broker/tls.{file}", named)
            yield Difference(f"*/environment/CELERY_TLS_{key}", "", ABSENT, "the unit of systemd has it")
        for key, file in (("ca", "ca.crt"), ("certificate", "tls.crt"), ("key", "tls.key")):
            yield Difference(f"flower/options/broker_tls/{key}", ANYTHING, f"/etc/stalk/broker/{file}", named)
    else:
        yield Difference("*/environment/CELERY_TLS_CA", "/etc/{app}/pki/ca.crt", "/etc/stalk/tls/ca.crt", PLACES)
        yield Difference(
            "*/environment/CELERY_TLS_CERT", "/etc/{app}/pki/{component}.crt", "/etc/stalk/tls/tls.crt", PLACES
        )
        yield Difference(
            "*/environment/CELERY_TLS_KEY", "/run/credentials/CELERY_TLS_KEY", "/etc/stalk/tls/tls.key", PLACES
        )
        for key, servers, kubernetes in (
            ("ca", "/etc/{app}/pki/ca.crt", "ca.crt"),
            ("certificate", "/etc/{app}/pki/flower.crt", "tls.crt"),
            ("key", "CELERY_TLS_KEY", "tls.key"),
        ):
            yield Difference(f"flower/options/broker_tls/{key}", servers, f"/etc/stalk/tls/{kubernetes}", PLACES)
    yield Difference(
        "*/environment/CELERY_RESULT_TLS_CA", SYSTEM_CAS, "/etc/stalk/broker/results.crt", "as the broker's CA"
    )
    yield Difference(
        "*/environment/CELERY_HEARTBEAT_FILE", "/run/{app}-{process}/heartbeat", "/run/stalk/heartbeat", PLACES
    )
    yield Difference("*/environment/CREDENTIALS_DIRECTORY", ABSENT, "/etc/stalk/credentials", "systemd sets it")
    yield Difference("*/environment/DJANGO_STATIC_ROOT", "/srv/{app}/current/static", ABSENT, IMAGE)
    yield Difference("beat/environment/CELERY_BEAT_HOLDER", "server", "metadata.name", "the host's name, and the pod's")
    yield Difference(
        "worker */command/--hostname", "{pool}@%H", "{pool}@%h", "systemd's sign for the host, and Celery's"
    )
    if stack["database"]["kind"] == "embedded":
        yield Difference("*/environment/PGSSLROOTCERT", "/etc/{app}/pki/ca.crt", "/etc/stalk/tls/ca.crt", PLACES)
        yield Difference("*/environment/PGSSLCERT", "/etc/{app}/pki/{component}.crt", "/etc/stalk/tls/tls.crt", PLACES)
        yield Difference("*/environment/PGSSLKEY", "/run/credentials/CELERY_TLS_KEY", "/etc/stalk/tls/tls.key", PLACES)
    else:
        yield Difference("*/environment/PGSSLKEY", "/run/credentials/CELERY_TLS_KEY", ABSENT, LIBPQ)
    if port != 443:
        alone = "the port that browsers see is the Ingress's"
        yield Difference("*/environment/DJANGO_CSRF_TRUSTED_ORIGINS", f"{origin}:{port}", origin, alone)
    for name, pool in stack["pools"].items():
        if pool["scale"].get("max") is not None and stack["broker"]["protocol"] == "redis":
            counted = "servers do not scale, so nobody counts a pool's work in progress"
            yield Difference(
                f"worker {name}/environment/CELERY_UNACKED_TAGS_KEY", ABSENT, "unacked_tags.{pool}", counted
            )

    for variable in stack["kubernetes"]["extraEnv"]:
        yield Difference(
            f"*/environment/{variable['name']}", ABSENT, ANYTHING, "servers read nothing below `kubernetes:`"
        )

    broker = stack["broker"]["component"]
    yield Difference("*/secrets/CELERY_BROKER_URL/host", "localhost", f"{{app}}-{broker}", ADDRESSES)
    yield Difference("*/secrets/CELERY_RESULT_BACKEND/host", "localhost", f"{{app}}-{broker}", ADDRESSES)
    yield Difference("*/secrets/DATABASE_URL/host", "localhost", "{app}-postgresql", ADDRESSES)
    yield Difference("flower/environment/FLOWER_OPTIONS", "/etc/{app}/flower.json", "/opt/flower/options.json", PLACES)
    yield Difference("flower/options/db", "/var/lib/{app}-flower/state", "/data/state", PLACES)
    yield Difference("flower/options/tls/ca", "/etc/{app}/pki/ca.crt", "/etc/stalk/tls/ca.crt", PLACES)
    yield Difference("flower/options/tls/certificate", "/etc/{app}/pki/flower.crt", "/etc/stalk/tls/tls.crt", PLACES)
    yield Difference("flower/options/tls/key", "CELERY_TLS_KEY", "/etc/stalk/tls/tls.key", PLACES)
    if broker == "rabbitmq":
        api = f"{stack['broker']['management_port']}/api/"
        yield Difference(
            "flower/options/broker_api", f"https://localhost:{api}", f"https://{{app}}-rabbitmq:{api}", ADDRESSES
        )
    yield Difference("flower/options/address", "127.0.0.1", "", ADDRESSES)
    if port != 443:
        yield Difference("flower/options/url", f"{origin}:{port}/flower", f"{origin}/flower", "the port of the Ingress")
    yield Difference("flower/command/--conf", "/etc/{app}/flower.py", "/opt/flower/flower.py", PLACES)
    yield Difference("web/command/--bind", ABSENT, "unix:/run/stalk/gunicorn.sock", "systemd hands over the socket")
    leaving = "nginx serves on while Services forget the pod"
    yield Difference("web/ends_within", timeout + 10, timeout + 20, leaving)

    flower = stack["flower"]["port"]
    shown = "web/site/location /flower/"
    yield Difference("web/site/listen", ANYTHING, "8443 ssl", "a port below 1024 wants a right, and the Service has it")
    yield Difference("web/site/access_log", ABSENT, "/dev/stdout request if=$is_logged", "without the kubelet's probes")
    yield Difference("web/site/location /static/ alias", "/srv/{app}/current/static/", "/run/stalk-static/", PLACES)
    digested = "web/site/location /static/ location*alias"
    yield Difference(digested, "/srv/{app}/current/static/$1", "/run/stalk-static/$1", PLACES)
    yield Difference(
        f"{shown} proxy_pass", f"https://127.0.0.1:{flower}", f"https://{{app}}-flower:{flower}", ADDRESSES
    )
    yield Difference(f"{shown} proxy_ssl_name", "server", "{app}-flower", ADDRESSES)
    yield Difference(f"{shown} proxy_ssl_trusted_certificate", "/etc/{app}/pki/ca.crt", "/etc/stalk/tls/ca.crt", PLACES)
    yield Difference(f"{shown} proxy_ssl_certificate", "/etc/{app}/pki/web.crt", "/etc/stalk/tls/tls.crt", PLACES)
    yield Difference(f"{shown} proxy_ssl_certificate_key", "/run/nginx/web.key", "/etc/stalk/tls/tls.key", PLACES)

    yield Difference("redis/settings/supervised", "systemd", ABSENT, UNITS)
    yield Difference("redis/settings/bind", "127.0.0.1 -::1", "* -::*", ADDRESSES)
    kind = stack["broker"]["kind"]
    data = "/data" if kind == "redis" else f"/data/{kind}"
    yield Difference("redis/settings/dir", f"/var/lib/{{app}}-{kind}", data, PLACES)
    yield Difference("redis/settings/aclfile", "/run/{app}-redis/users.acl", "/run/stalk/users.acl", PLACES)
    yield Difference("redis/settings/unixsocket", "/run/{app}-redis/redis.sock", "/run/stalk/redis.sock", PLACES)
    live = "/etc/stalk/redis-live/reloadable.conf"
    yield Difference("redis/settings/include", "/etc/{app}/redis/reloadable.conf", live, PLACES)
    yield Difference("redis/settings/tls-ca-cert-file", "/etc/{app}/pki/ca.crt", "/etc/stalk/tls/ca.crt", PLACES)
    yield Difference("redis/settings/tls-cert-file", "/etc/{app}/pki/redis.crt", "/etc/stalk/tls/tls.crt", PLACES)
    yield Difference("redis/settings/tls-key-file", "/run/{app}-redis/redis.key", "/etc/stalk/tls/tls.key", PLACES)
    if stack["tls"]["issuer"] == "provided" and not stack["tls"]["kubernetes"]["ca"]:
        for part in ("lifetime", "rotate_before"):
            yield Difference(f"certificates/{part}", ANYTHING, ABSENT, "whoever brings every leaf renews it")
    yield Difference("rabbitmq/settings/listeners.ssl.1", f"127.0.0.1:{stack['broker']['port']}", ABSENT, ADDRESSES)
    yield Difference("rabbitmq/settings/listeners.ssl.default", ABSENT, str(stack["broker"]["port"]), ADDRESSES)
    yield Difference("rabbitmq/settings/*.ssl.ip", "127.0.0.1", ABSENT, ADDRESSES)
    for name, servers, pods in (
        ("cacertfile", "/etc/{app}/pki/ca.crt", "/etc/stalk/tls/ca.crt"),
        ("certfile", "/etc/{app}/pki/rabbitmq.crt", "/etc/stalk/tls/tls.crt"),
        ("keyfile", "/run/{app}-rabbitmq/rabbitmq.key", "/etc/stalk/tls/tls.key"),
    ):
        yield Difference(f"rabbitmq/settings/*.ssl.{name}", servers, pods, PLACES)
        yield Difference(f"rabbitmq/tls/{name}", f'"{servers}"', f'"{pods}"', PLACES)
    yield Difference(
        "rabbitmq/settings/load_definitions",
        "/run/{app}-rabbitmq/definitions.json",
        "/run/stalk/definitions.json",
        PLACES,
    )
    ending = "the file `follow` says which: those that a release took away stay while its pods end"
    yield Difference("rabbitmq/live/rabbit_policy:delete", ANYTHING, ANYTHING, ending)
    yield Difference(
        "rabbitmq/live/rabbit_auth_backend_internal:delete_user", ABSENT, ANYTHING, "a pod's volume may be an old one"
    )
    for part in (
        "redis/users",
        "rabbitmq/definitions/users",
        "rabbitmq/definitions/permissions",
        "certificates/usages",
    ):
        yield Difference(f"{part}/status*", ANYTHING, ABSENT, "Kubernetes has probes instead of a playbook")
        yield Difference(f"{part}/scaler*", ABSENT, ANYTHING, "KEDA reads the queues' lengths; servers do not scale")
    for part in ("redis/users", "certificates/usages"):
        yield Difference(f"{part}/backup*", ABSENT, ANYTHING, "on servers the copies are made where the data are")
    yield Difference(
        "certificates/usages/metrics*", ABSENT, ANYTHING, "a host has that of `status`, for its Prometheus too"
    )
    for part in ("redis/users", "rabbitmq/definitions/users", "rabbitmq/definitions/permissions"):
        for name in ("web", "beat", "flower"):
            if not stack[name]["enabled"]:
                yield Difference(f"{part}/{name}*", ANYTHING, ABSENT, SWITCHED_OFF)
    hook = "the chart's hook counts what is in the queues, servers as `status`"
    playbook = "Kubernetes has no playbook that puts dead letters back"
    for part in ("users", "permissions"):
        yield Difference(f"rabbitmq/definitions/{part}/queues*", ABSENT, ANYTHING, hook)
        yield Difference(f"rabbitmq/definitions/{part}/operator*", ANYTHING, ABSENT, playbook)
    yield Difference("certificates/usages/operator*", ANYTHING, ABSENT, playbook)

    cluster = "Debian's cluster says it"
    yield Difference("postgresql/settings/unix_socket_directories", ABSENT, "/run/stalk", cluster)
    yield Difference("postgresql/settings/timezone", ABSENT, "UTC", cluster)
    yield Difference("postgresql/settings/log_timezone", ABSENT, "UTC", cluster)
    yield Difference(
        "postgresql/settings/dynamic_shared_memory_type", ABSENT, "mmap", "a pod has 64 MiB of shared memory"
    )
    yield Difference("postgresql/settings/jit", "off", ABSENT, "the unit forbids the memory that it needs")
    yield Difference("postgresql/settings/listen_addresses", "localhost", "*", ADDRESSES)
    yield Difference("postgresql/settings/hba_file", "/etc/{app}/postgresql/pg_hba.conf", ABSENT, PLACES)
    yield Difference("postgresql/settings/ident_file", "/etc/{app}/postgresql/pg_ident.conf", ABSENT, PLACES)
    yield Difference("postgresql/settings/ssl_ca_file", "/etc/{app}/pki/ca.crt", "/etc/stalk/tls/ca.crt", PLACES)
    yield Difference(
        "postgresql/settings/ssl_cert_file", "/etc/{app}/pki/postgresql.crt", "/etc/stalk/tls/tls.crt", PLACES
    )
    key = "/run/{app}-postgresql/server.key"
    yield Difference("postgresql/settings/ssl_key_file", key, "/etc/stalk/tls/tls.key", PLACES)
    yield Difference(
        "postgresql/settings/max_connections", ANYTHING, ANYTHING, "as many hosts, or as many pods at most"
    )
