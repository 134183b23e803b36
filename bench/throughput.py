"""Tasks per second and latency of the deployed pools, beside Celery run by hand with its defaults."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

from bench import server
from bench.report import ROOT, Figure, Table
from bench.server import inside, run
from bench.service import VENV, service, start_worker

ROUNDS = 5
BURST = 1500
SLOW_ROUNDS = 3
SLOW_BURST = 150
PREFORK_AIM = 1.0
GEVENT_AIM = 15
PEER_PORT = 6390
PEERS = "/opt/first_steps"
# The peers are no Django projects.
NO_PROJECT = ("--property=UnsetEnvironment=DJANGO_SETTINGS_MODULE",)


@dataclass(frozen=True)
class Measured:
    """A running pool and how to send to it."""

    name: str
    app: str
    task: str
    queue: str
    folder: str
    worker_unit: str
    redis_unit: str
    hertz: float
    paced: int
    burst: int


DEFAULT = Measured(
    "default pool", "config.celery", "shop.tasks.noop", "celery", "/srv/shop/current/app",
    "shop-worker@default.service", "shop-redis.service", 50, 400, BURST,
)  # fmt: skip
FIRST_STEPS = Measured(
    "first steps", "tasks", "tasks.noop", "celery", PEERS,
    "first-steps.service", "first-steps-redis.service", 50, 400, BURST,
)  # fmt: skip
GEVENT = Measured(
    "gevent pool", "config.celery", "shop.tasks.noop", "webhooks", "/srv/shop/current/app",
    "shop-worker@io.service", "shop-redis.service", 50, 400, BURST,
)  # fmt: skip
GEVENT_DEFAULTS = Measured(
    "gevent by defaults", "tasks_mtls", "tasks.noop", "first-steps", PEERS,
    "first-steps-gevent.service", "shop-redis.service", 5, 50, SLOW_BURST,
)  # fmt: skip


@dataclass
class Series:
    """What the rounds of one pool gave."""

    rates: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    cpu: list[Mapping[str, float]] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return median(self.rates)

    def percentile(self, percent: int) -> float:
        return 1000 * quantiles(self.latencies, n=100, method="inclusive")[percent - 1]

    def cpu_of(self, unit: str) -> float:
        return median(round_cpu.get(unit, 0.0) for round_cpu in self.cpu)

    def range(self) -> str:
        return f"{self.rate:.0f} ({min(self.rates):.0f}-{max(self.rates):.0f})"


def load(pool: Measured, *arguments: object) -> dict[str, Any]:
    said = service(
        "bench-load.service", "web", pool.folder,
        f"{VENV}/python", f"{PEERS}/load.py", pool.app, pool.task, pool.queue, *map(str, arguments),
        wait=True, options=NO_PROJECT if pool.folder == PEERS else (),
    )  # fmt: skip
    measured: dict[str, Any] = json.loads(said.splitlines()[-1])
    return measured


def start_peers() -> None:
    """As the page "First Steps with Celery" says: Redis and a worker by their defaults."""
    run(["docker", "exec", server.HOST, "rm", "-rf", PEERS])
    run(["docker", "cp", str(ROOT / "bench" / "first_steps"), f"{server.HOST}:{PEERS}"])
    inside("chmod", "-R", "a+rX", PEERS)
    inside("mkdir", "-p", "/var/lib/first-steps")
    inside(
        *("systemd-run", "--quiet", "--collect", "--unit=first-steps-redis.service"),
        *("--working-directory=/var/lib/first-steps", "redis-server", "--port", str(PEER_PORT)),
    )
    start_worker("first-steps.service", PEERS, "tasks", "--hostname=tasks@%h", options=NO_PROJECT)
    gevent = ("--hostname=tasks_mtls@%h", "--pool=gevent", "--concurrency=100")
    start_worker("first-steps-gevent.service", PEERS, "tasks_mtls", *gevent, options=NO_PROJECT)


def stop_peers() -> None:
    units = ("first-steps.service", "first-steps-gevent.service", "first-steps-redis.service")
    inside("systemctl", "stop", *units, check=False)
    inside("systemctl", "reset-failed", *units, check=False)


def alternate(pools: tuple[Measured, Measured], rounds: int, paced_rounds: int) -> tuple[Series, Series]:
    """Rounds of each in turn, so that what else the machine does meets both."""
    series = (Series(), Series())
    for number in range(rounds):
        for pool, measured in zip(pools, series, strict=True):
            burst = load(pool, "burst", pool.burst)
            measured.rates.append(burst["per_second"])
            measured.cpu.append(burst["cpu_ms_per_task"])
        if number < paced_rounds:
            for pool, measured in zip(pools, series, strict=True):
                measured.latencies += load(pool, "paced", pool.paced, pool.hertz)["latencies"]
    return series


def figures(name: str, pools: tuple[Measured, Measured], series: tuple[Series, Series], aim: float) -> list[Figure]:
    stalk, peer = series
    ratio = stalk.rate / peer.rate
    rows = [Figure(f"{name}: tasks/s", stalk.range(), peer.range(), f"{ratio:.2f} x", f">= {aim:g} x", ratio >= aim)]
    for percent in (50, 99):
        mine, theirs = stalk.percentile(percent), peer.percentile(percent)
        rows.append(Figure(f"{name}: p{percent} latency, ms", f"{mine:.1f}", f"{theirs:.1f}", f"{mine / theirs:.2f} x"))
    parts = {
        "worker": [pool.worker_unit for pool in pools],
        "Redis": [pool.redis_unit for pool in pools],
        "sender": ["bench-load.service"] * 2,
    }
    for part, units in parts.items():
        mine, theirs = (each.cpu_of(unit) for each, unit in zip(series, units, strict=True))
        rows.append(
            Figure(
                f"{name}: CPU ms of {part} per task",
                f"{mine:.2f}",
                f"{theirs:.2f}",
                f"{mine / theirs:.2f} x" if theirs else "",
            )
        )
    return rows


def measure() -> list[Table]:
    server.ensure_converged()
    stop_peers()
    try:
        start_peers()
        prefork = alternate((DEFAULT, FIRST_STEPS), ROUNDS, 2)
        gevent = alternate((GEVENT, GEVENT_DEFAULTS), SLOW_ROUNDS, 1)
    finally:
        stop_peers()
    table = Table(
        "throughput",
        "A no-op task, from `delay` to its result",
        ("measure", "deployed, mutual TLS", "Celery by its defaults"),
    )
    table.figures = [
        *figures("prefork", (DEFAULT, FIRST_STEPS), prefork, PREFORK_AIM),
        *figures("gevent", (GEVENT, GEVENT_DEFAULTS), gevent, GEVENT_AIM),
    ]
    table.notes = [
        f"tasks/s: one sender, {BURST} tasks until the last result; median (range) of {ROUNDS} rounds in turn.",
        f"  Gevent by defaults: {SLOW_BURST} tasks, {SLOW_ROUNDS} rounds.",
        f"Latency: since each task was due, {DEFAULT.hertz:g} a second; gevent by defaults {GEVENT_DEFAULTS.hertz:g}.",
        "The peer of prefork has no TLS, no user and early acks, and as many processes; that of gevent has the same",
        "  mutual TLS and as many greenlets, and makes a connection, so a handshake, for every task's result.",
        f"Versions: {versions()}.",
    ]
    return [table]


def versions() -> str:
    names = ("celery", "kombu", "redis", "hiredis", "gevent")
    code = "import sys, importlib.metadata as m; print(', '.join(f'{n} {m.version(n)}' for n in sys.argv[1:]))"
    packages = inside(f"{VENV}/python", "-c", code, *names).strip()
    redis = inside("redis-server", "--version").split("v=")[1].split()[0]
    return f"{packages}, redis-server {redis}, {inside(f'{VENV}/python', '--version').strip()}"
