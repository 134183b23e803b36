"""Tasks per second and latency of each broker, TLS on and off, beside the broker's own load tool; no result is kept."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from statistics import median, quantiles

from bench import peer
from bench.report import Figure, Table
from bench.server import inside
from bench.service import APP, start_worker
from bench.stand import FOLDERS, Stand

ROUNDS = 3
BURST = 1500
PACED = 400
HERTZ = 50

REDIS, RABBITMQ = Stand("redis"), Stand("rabbitmq")
CLASSIC = "arrivals_classic"


@dataclass(frozen=True)
class Way:
    """A way to a worker: a queue of a broker, the deployed one or a peer of it."""

    name: str
    stand: Stand
    queue: str = "arrivals"
    variables: tuple[str, ...] = ()
    plain: bool = False

    @property
    def host(self) -> str:
        return self.stand.hosts[0]

    @property
    def unit(self) -> str:
        return f"{re.sub('[^a-z]+', '-', self.name.lower())}.service"

    @property
    def options(self) -> tuple[str, ...]:
        without_tls = ["--property=UnsetEnvironment=CELERY_TLS_CA CELERY_TLS_CERT CELERY_TLS_KEY"] if self.plain else []
        return (*(f"--setenv={variable}" for variable in self.variables), *without_tls)


@dataclass
class Measured:
    rates: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return median(self.rates)

    def range(self) -> str:
        return f"{self.rate:.0f} ({min(self.rates):.0f}-{max(self.rates):.0f})"

    def percentile(self, percent: int) -> str:
        return f"{1000 * quantiles(self.latencies, n=100, method='inclusive')[percent - 1]:.1f}"


PLAIN_RESULTS = "CELERY_RESULT_BACKEND=django-db"
WAYS = (
    Way("Redis, mutual TLS", REDIS),
    Way(
        "Redis, plain text",
        REDIS,
        variables=(f"CELERY_BROKER_URL=redis://localhost:{peer.REDIS.plain}/0", PLAIN_RESULTS),
        plain=True,
    ),
    Way("RabbitMQ quorum, mutual TLS", RABBITMQ),
    Way("RabbitMQ classic, mutual TLS", RABBITMQ, CLASSIC, ("ARRIVALS_QUEUE_TYPE=classic",)),
    Way(
        "RabbitMQ quorum, plain text",
        RABBITMQ,
        variables=(f"CELERY_BROKER_URL=amqp://guest:guest@localhost:{peer.RABBITMQ.plain}//", PLAIN_RESULTS),
        plain=True,
    ),
)


def rounds() -> dict[str, Measured]:
    """Rounds of each in turn, so that what else the machine does meets all."""
    found = {way.name: Measured() for way in WAYS}
    for number in range(ROUNDS):
        for way in WAYS:
            said = way.stand.send(way.host, way.queue, "burst", BURST, options=way.options)
            found[way.name].rates.append(json.loads(said.splitlines()[-1])["per_second"])
            if number == 0:
                said = way.stand.send(way.host, way.queue, "paced", PACED, HERTZ, options=way.options)
                found[way.name].latencies += json.loads(said.splitlines()[-1])["latencies"]
    return found


def version(stand: Stand) -> str:
    ask = {"redis": ("redis-server", "--version"), "rabbitmq": ("/usr/lib/rabbitmq/bin/rabbitmqctl", "version")}
    found = re.search(r"\d+[.]\d+[.]\d+", inside(*ask[stand.name], host=stand.hosts[0]))
    return f"{stand.name} {found[0] if found else '?'}"


def measure() -> list[Table]:
    stands = (REDIS, RABBITMQ)
    try:
        for stand in stands:
            stand.deploy()
        peer.start(peer.REDIS, REDIS.hosts[0])
        peer.start(peer.RABBITMQ, RABBITMQ.hosts[0])
        # Stalk makes every queue a quorum queue.
        delete = ("/usr/local/lib/shop/rabbitmqctl", "delete_queue", "--vhost", "shop", CLASSIC)
        inside(*delete, host=RABBITMQ.hosts[0])
        for way in WAYS:
            worker = (
                f"--queues={way.queue}",
                f"--hostname={way.unit}@%h",
                "--concurrency=2",
                "--prefetch-multiplier=1",
            )
            options = (FOLDERS, *way.options)
            start_worker(way.unit, APP, "arrivals", *worker, "--without-gossip", host=way.host, options=options)
        found = rounds()
        ceilings = {
            REDIS.name: peer.redis_benchmark(REDIS.hosts[0]),
            RABBITMQ.name: peer.perf_test(RABBITMQ.hosts[0]),
        }
        versions = ", ".join(map(version, stands))
    finally:
        for stand in stands:
            stand.destroy()
    table = Table(
        "brokers", "A no-op task, from its sending to its run", ("measure", "Celery", "the broker's load tool")
    )
    for way in WAYS:
        measured, ceiling = found[way.name], ceilings[way.stand.name]
        ratio = f"{measured.rate / ceiling:.3f} x"
        table.figures.append(Figure(f"{way.name}: tasks/s", measured.range(), f"{ceiling:.0f}", ratio))
        for percent in (50, 99):
            table.figures.append(Figure(f"{way.name}: p{percent} latency, ms", measured.percentile(percent)))
    table.notes = [
        f"tasks/s: one sender, {BURST} tasks until the last one ran; median (range) of {ROUNDS} rounds in turn.",
        f"Latency: since each task was due, {HERTZ} a second. Two processes work, with the deployed app's settings.",
        "redis-benchmark: LPUSH of 800 bytes by 4 connections with TLS. PerfTest: publish with confirms and consume",
        "  800 bytes of a quorum queue with TLS. Both against a peer by its defaults on the same server.",
        f"Versions: {versions}.",
    ]
    return [table]
