"""Brokers of a test's own, a Redis and a RabbitMQ: TLS alone, with a CA that nobody knows."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.broker.endpoint import Endpoint
from ansible_collections.stalk.celery.plugins.module_utils.broker_url import read_broker_url
from resources.certificates import Authority, Pair

HOST = "localhost"
AUTHORITY = Authority.new("somebody's CA")
STRANGER = Authority.new("stranger")
CLIENT = AUTHORITY.leaf("client")
KEYS = {"ca": "broker.servers.ca", "certificate": "broker.servers.certificate"}
PASSWORD = "a/b@c"
SECONDS_TO_START = 120

EVERY_CHANNEL = "&shop:* &shop:/0.celery.pidbox &shop:/0.celeryev/* &shop:/0.celeryev/worker.*"
# As managed Redis servers have their users.
USERS = f"""
user default off
user guest on >{PASSWORD} ~shop:* {EVERY_CHANNEL} +@all -@admin -@dangerous
user teller on >{PASSWORD} ~shop:* {EVERY_CHANNEL} +@all -@admin -@dangerous +info +config|get
user poor on >{PASSWORD} ~shop:* {EVERY_CHANNEL} +@all -@admin -@dangerous -brpop -evalsha -script|load
user elsewhere on >{PASSWORD} ~other:* &other:* +@all -@admin -@dangerous
"""

RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"
RIGHTS = {
    "guest": (".*", ".*", ".*"),
    "reader": ("^$", "^$", ".*"),
    "poor": ("^(?!reports$).*", ".*", ".*"),
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def endpoint(url: str, **other: Any) -> Endpoint:
    """It knows the CA and shows a certificate, unless a test says otherwise."""
    protocol = "redis" if url.startswith("redis") else "rabbitmq"
    shown = {"ca": AUTHORITY.pair.certificate, "certificate": CLIENT.certificate, "key": CLIENT.key}
    return Endpoint(read_broker_url("CELERY_BROKER_URL", url, protocol), **{**shown, **other}, keys=KEYS)


def until(happened: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + SECONDS_TO_START
    while not happened():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)


def opens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextmanager
def redis_server(
    folder: Path,
    options: Mapping[str, str],
    leaf: Pair | None = None,
    *,
    users: str = USERS,
    wants_certificates: bool = True,
) -> Iterator[int]:
    port = free_port()
    (leaf or AUTHORITY.leaf(HOST)).write(folder, "server")
    AUTHORITY.pair.write(folder, "ca")
    (folder / "users.acl").write_text(users)
    given = {
        "port": "0",
        "tls-port": str(port),
        "bind": "127.0.0.1",
        "tls-ca-cert-file": str(folder / "ca.crt"),
        "tls-cert-file": str(folder / "server.crt"),
        "tls-key-file": str(folder / "server.key"),
        "tls-auth-clients": "yes" if wants_certificates else "no",
        "aclfile": str(folder / "users.acl"),
        "maxmemory-policy": "noeviction",
        "save": '""',
        "dir": str(folder),
        **options,
    }
    words = [word for name, value in given.items() for word in (f"--{name}", *value.split())]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["redis-server", *words], stdout=log, stderr=log)
    try:
        until(lambda: opens(port), process, folder / "log")
        yield port
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def rabbitmq_server(folder: Path) -> Iterator[int]:
    """With a queue `classic` and a fanout exchange `loud`, which no Celery makes."""
    port = free_port()
    AUTHORITY.leaf(HOST).write(folder, "server")
    AUTHORITY.pair.write(folder, "ca")
    (folder / ".erlang.cookie").touch(mode=0o600)
    (folder / ".erlang.cookie").write_text("cookie")
    (folder / "enabled_plugins").write_text("[].\n")
    (folder / "definitions.json").write_text(json.dumps(definitions()))
    lines = (
        "listeners.tcp = none",
        f"listeners.ssl.1 = 127.0.0.1:{port}",
        f"ssl_options.cacertfile = {folder}/ca.crt",
        f"ssl_options.certfile = {folder}/server.crt",
        f"ssl_options.keyfile = {folder}/server.key",
        "ssl_options.verify = verify_peer",
        "ssl_options.fail_if_no_peer_cert = true",
        f"load_definitions = {folder}/definitions.json",
    )
    (folder / "rabbitmq.conf").write_text("\n".join(lines) + "\n")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"check-{port}@localhost",
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none.conf"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "none.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "logs"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
        "ERL_EPMD_PORT": str(free_port()),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
    }
    # Else RabbitMQ starts a daemon that outlives it.
    names = subprocess.Popen(["epmd"], env=environment, stdout=subprocess.DEVNULL)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([RABBITMQ], env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        until(lambda: opens(port), process, folder / "log")
        yield port
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)
        names.kill()
        names.wait(20)


def definitions() -> dict[str, Any]:
    digest = base64.b64encode(bytes(4) + hashlib.sha256(bytes(4) + PASSWORD.encode()).digest()).decode()
    hashed = {"password_hash": digest, "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": ""}
    rights = ("configure", "write", "read")
    return {
        "vhosts": [{"name": "shop"}],
        "users": [{"name": user, **hashed} for user in RIGHTS],
        "permissions": [
            {"user": user, "vhost": "shop", **dict(zip(rights, patterns, strict=True))}
            for user, patterns in RIGHTS.items()
        ],
        "queues": [
            {"name": "classic", "vhost": "shop", "durable": True, "auto_delete": False, "arguments": {}},
            {
                "name": "celery",
                "vhost": "shop",
                "durable": True,
                "auto_delete": False,
                "arguments": {"x-queue-type": "quorum"},
            },
        ],
        "exchanges": [
            {
                "name": "loud",
                "vhost": "shop",
                "type": "fanout",
                "durable": True,
                "auto_delete": False,
                "internal": False,
                "arguments": {},
            }
        ],
    }
