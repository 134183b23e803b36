"""A broker of the same package by its defaults, beside the deployed one, and its own load tool as the ceiling."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bench.report import ROOT
from bench.server import inside, run, wait_until

FOLDER = "/var/lib/bench-peer"
UNIT = "bench-peer.service"
PKI = "/etc/shop/pki"
PERF_TEST = "/opt/perf-test"
COPY_JARS = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
PUSHES = 50000
LOAD_SECONDS = 10
MESSAGE_BYTES = 800
"""About what a task's message has."""


@dataclass(frozen=True)
class Peer:
    """Nobody has to log in; its ports are for plain text and for TLS."""

    kind: str
    plain: int
    encrypted: int
    command: tuple[str, ...]
    files: tuple[tuple[str, str], ...] = ()
    variables: tuple[str, ...] = ()


REDIS = Peer(
    "redis",
    plain=6390,
    encrypted=6391,
    command=(
        *("redis-server", "--port", "6390", "--tls-port", "6391", "--appendonly", "yes"),
        *("--tls-cert-file", "redis.crt", "--tls-key-file", "redis.key", "--tls-ca-cert-file", "ca.crt"),
    ),
)
RABBITMQ = Peer(
    "rabbitmq",
    plain=5680,
    encrypted=5681,
    command=("/usr/lib/rabbitmq/bin/rabbitmq-server",),
    files=(
        (
            "rabbitmq.conf",
            "listeners.tcp.1 = 127.0.0.1:5680\n"
            "listeners.ssl.1 = 127.0.0.1:5681\n"
            f"ssl_options.cacertfile = {FOLDER}/ca.crt\n"
            f"ssl_options.certfile = {FOLDER}/rabbitmq.crt\n"
            f"ssl_options.keyfile = {FOLDER}/rabbitmq.key\n",
        ),
        ("enabled_plugins", "[].\n"),
    ),
    variables=(
        f"HOME={FOLDER}",
        "RABBITMQ_NODENAME=peer@localhost",
        f"RABBITMQ_MNESIA_BASE={FOLDER}/data",
        f"RABBITMQ_LOG_BASE={FOLDER}/log",
        f"RABBITMQ_CONFIG_FILE={FOLDER}/rabbitmq.conf",
        f"RABBITMQ_ENABLED_PLUGINS_FILE={FOLDER}/enabled_plugins",
        "RABBITMQ_CONF_ENV_FILE=/dev/null",
        "ERL_EPMD_PORT=4400",
        "RABBITMQ_DIST_PORT=25700",
    ),
)


def start(peer: Peer, host: str) -> None:
    inside("mkdir", "-p", FOLDER, host=host)
    inside("cp", *(f"{PKI}/{name}" for name in (f"{peer.kind}.crt", f"{peer.kind}.key", "ca.crt")), FOLDER, host=host)
    for name, content in peer.files:
        inside("tee", f"{FOLDER}/{name}", text=content, host=host)
    inside("chown", "-R", f"{peer.kind}:{peer.kind}", FOLDER, host=host)
    inside(
        *("systemd-run", "--quiet", "--collect", f"--unit={UNIT}", f"--property=User={peer.kind}"),
        *(f"--working-directory={FOLDER}", *(f"--setenv={variable}" for variable in peer.variables)),
        *peer.command,
        host=host,
    )
    wait_until(f"the peer of {peer.kind} listens on {host}", lambda: listens(peer, host))


def listens(peer: Peer, host: str) -> bool:
    said = inside("ss", "--no-header", "--listening", "--tcp", "--numeric", host=host)
    return all(f":{port} " in said for port in (peer.plain, peer.encrypted))


def redis_benchmark(host: str) -> float:
    """LPUSH over TLS, a second."""
    tls = ("--tls", "--cert", f"{PKI}/worker.crt", "--key", f"{PKI}/worker.key", "--cacert", f"{PKI}/ca.crt")
    load = ("-t", "lpush", "-n", str(PUSHES), "-c", "4", "-d", str(MESSAGE_BYTES), "--csv")
    said = inside("redis-benchmark", "-h", "localhost", "-p", str(REDIS.encrypted), *tls, *load, host=host)
    return float(re.findall(r'"LPUSH[^"]*","([0-9.]+)"', said)[0])


def perf_test(host: str) -> float:
    """Messages of a quorum queue over TLS, confirmed and acknowledged, a second."""
    jars = ROOT / ".cache" / "perf-test"
    pom = ROOT / "bench" / "perf-test" / "pom.xml"
    run(["mvn", "--quiet", "--batch-mode", f"--file={pom}", COPY_JARS, f"-DoutputDirectory={jars}"])
    inside("apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "default-jre-headless", host=host)
    run(["docker", "cp", str(jars), f"{host}:{PERF_TEST}"])
    said = inside(
        *("java", "-cp", f"{PERF_TEST}/*", "com.rabbitmq.perf.PerfTest"),
        *("--uri", f"amqps://guest:guest@localhost:{RABBITMQ.encrypted}", "--quorum-queue", "--queue", "ceiling"),
        *("--confirm", "100", "--qos", "100", "--size", str(MESSAGE_BYTES), "--time", str(LOAD_SECONDS)),
        host=host,
    )
    return float(re.findall(r"receiving rate avg: (\d+)", said)[0])
