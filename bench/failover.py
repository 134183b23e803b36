"""Seconds without a task once the primary of Redis, or the node of RabbitMQ that leads the queue, is killed."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median

from bench.report import Figure, Table
from bench.server import BenchFailed, inside, wait_until
from bench.service import APP, start_worker
from bench.stand import FOLDERS, Stand

ROUNDS = 3
HERTZ = 20
SECONDS = 60
SECONDS_UNTIL_WHOLE = 180
SCRIPTS = "/usr/local/lib/shop"
STAYS_DEAD = "[Service]\nRestart=no\n"


def primary(host: str) -> str:
    said = inside(f"{SCRIPTS}/newest-primary", "shop", host=host, check=False).split()
    return said[-1] if said else ""


def leader(host: str) -> str:
    ask = (f"{SCRIPTS}/rabbitmqctl", "--quiet", "list_queues", "--vhost", "shop", "name", "leader")
    listed = inside(*ask, host=host, check=False)
    found = re.search(r"^arrivals\tshop@(\S+)$", listed, re.MULTILINE)
    return found[1] if found else ""


def has_replicas(host: str) -> bool:
    password = "REDISCLI_AUTH=$(cat /run/shop-redis-operator)"
    ask = f"{password} redis-cli -s /run/shop-redis/redis.sock --user operator --no-auth-warning INFO replication"
    return "min_slaves_good_slaves:2" in inside("sh", "-c", ask, host=primary(host), check=False)


def has_quorum_to_spare(host: str) -> bool:
    try:
        inside(f"{SCRIPTS}/rabbitmq-upgrade", "await_online_quorum_plus_one", host=host)
    except BenchFailed:
        return False
    return True


def is_watching(host: str) -> bool:
    return bool(inside("find", "/tmp", "-name", "arrivals-watching", host=host))


@dataclass(frozen=True)
class Cell:
    """A broker of several nodes: which one serves, as a node tells, and whether all are there."""

    name: str
    stand: Stand
    component: str
    serves: Callable[[str], str]
    is_whole: Callable[[str], bool]
    aim: float

    @property
    def unit(self) -> str:
        return f"shop-{self.component}.service"

    @property
    def nodes(self) -> list[str]:
        return list(self.stand.described[self.component]["hosts"])


CELLS = (
    Cell("Redis behind Sentinel", Stand("sentinel"), "redis", primary, has_replicas, 10),
    Cell(
        "RabbitMQ cluster", Stand("rabbitmq-cluster", "stalk-server:trixie"), "rabbitmq", leader, has_quorum_to_spare, 5
    ),
)


@dataclass(frozen=True)
class Round:
    chosen: float
    lull: float


def fail_over(cell: Cell) -> Round:
    worker = cell.stand.hosts[0]
    wait_until(f"{cell.name} is whole", lambda: cell.is_whole(worker), SECONDS_UNTIL_WHOLE)
    gone = cell.serves(worker)
    other = next(node for node in cell.nodes if node != gone)
    change = f"/run/systemd/system/{cell.unit}.d/stays-dead.conf"
    inside("install", "-D", "/dev/stdin", change, text=STAYS_DEAD, host=gone)
    inside("systemctl", "daemon-reload", host=gone)
    try:
        with ThreadPoolExecutor(1) as pool:
            watched = pool.submit(cell.stand.send, worker, "arrivals", "watch", SECONDS, HERTZ)
            wait_until("tasks run", lambda: is_watching(worker), SECONDS)
            killed = time.monotonic()
            inside("systemctl", "kill", "--signal=KILL", cell.unit, host=gone)
            wait_until("another node serves", lambda: cell.serves(other) not in ("", gone), SECONDS)
            chosen = time.monotonic() - killed
            lull: float = json.loads(watched.result().splitlines()[-1])["lull"]
    finally:
        inside("rm", change, host=gone)
        inside("systemctl", "daemon-reload", host=gone)
        inside("systemctl", "start", cell.unit, host=gone)
    return Round(chosen, lull)


def measured(cell: Cell) -> list[Round]:
    try:
        cell.stand.deploy()
        host = cell.stand.hosts[0]
        worker = ("--queues=arrivals", "--hostname=failover@%h", "--concurrency=2", "--prefetch-multiplier=1")
        start_worker("failover.service", APP, "arrivals", *worker, host=host, options=(FOLDERS,))
        return [fail_over(cell) for _ in range(ROUNDS)]
    finally:
        cell.stand.destroy()


def measure() -> list[Table]:
    table = Table(
        "failover", "The node that serves is killed and stays dead", ("seconds", "no task ran", "another serves")
    )
    for cell in CELLS:
        rounds = measured(cell)
        lulls, chosen = [one.lull for one in rounds], median(one.chosen for one in rounds)
        lull = median(lulls)
        shown = f"{lull:.1f} ({min(lulls):.1f}-{max(lulls):.1f})"
        aim = f"below {cell.aim:.0f}"
        table.figures.append(Figure(cell.name, shown, f"{chosen:.1f}", f"{lull / chosen:.2f}", aim, lull < cell.aim))
    table.notes = [
        f"One sender, {HERTZ} tasks a second, who tries again; the longest time in which none ran; median (range) of",
        f"  {ROUNDS} rounds. One worker with the deployed app's settings, on a host that has a node too.",
        "Another serves: when the nodes tell so, a second or two late, as asking them takes so long.",
    ]
    return [table]
