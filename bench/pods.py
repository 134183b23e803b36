"""What the pods of an idle stack take: memory, and the CPU of their probes beside `celery inspect ping`."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from bench.namespace import namespace
from bench.report import Figure, Table
from bench.server import BenchFailed
from tests.cluster.release import Release, name_of

SETTLE = 30
WINDOW = 120
SECONDS_BETWEEN_PINGS = 60
PINGS = 5
AIM_PERCENT = 50
JIFFIES = 100

# The concurrency of stack.yml, not that of the tests.
VALUES = {"pools": {"default": {"concurrency": 4}, "io": {"concurrency": 20}}}
SLOTS = {"default": 4, "reports": 1}
OWN = "/proc/self/smaps_rollup"
IMPORT = f"import django; django.setup(); import config.celery; print(open('{OWN}').read())"
PING = "exec celery --app=config.celery inspect ping --destination=default@$(hostname) --timeout=5"


def mebibytes(rollup: str) -> float:
    """Proportional set size: what processes share is divided among them."""
    found = re.search(r"^Pss: +(\d+) kB", rollup, re.MULTILINE)
    if not found:
        raise BenchFailed("this kernel tells no Pss in smaps_rollup")
    return int(found[1]) / 1024


def processes(pod: dict[str, Any]) -> list[Path]:
    """Of a pod, in /proc of this machine, which the node has to run on."""
    uid = pod["metadata"]["uid"]
    names = (f"pod{uid}", f"pod{uid.replace('-', '_')}")
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            group = (process / "cgroup").read_text()
        except OSError:
            continue
        if any(name in group for name in names):
            found.append(process)
    if not found:
        raise BenchFailed("the cluster's node is not on this machine: bench pods reads the /proc of its processes")
    return found


def memory(pod: dict[str, Any]) -> float:
    total = 0.0
    for process in processes(pod):
        try:
            total += mebibytes((process / "smaps_rollup").read_text())
        except OSError:
            # A probe that has ended.
            continue
    return total


def shim_of(pod: dict[str, Any]) -> Path:
    """The process that starts all others of the pod, its probes too, and reaps them."""
    parents = {
        int(re.findall(r"^PPid:\s+(\d+)", (one / "status").read_text(), re.MULTILINE)[0]) for one in processes(pod)
    }
    shims = [Path(f"/proc/{parent}") for parent in parents]
    return next(shim for shim in shims if (shim / "comm").read_text().startswith("containerd-shim"))


def cpu_seconds(shim: Path) -> float:
    """Of the shim and of what it has reaped: each probe with what it takes to enter the container."""
    fields = (shim / "stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / JIFFIES


def probes_an_hour(shim: Path) -> float:
    before, started = cpu_seconds(shim), time.monotonic()
    time.sleep(WINDOW)
    return 3600 * (cpu_seconds(shim) - before) / (time.monotonic() - started)


def seconds_of_ping(release: Release, name: str, shim: Path, probes: float) -> float:
    """Of one, without what the pod's own probes take meanwhile."""
    before, started = cpu_seconds(shim), time.monotonic()
    for _ in range(PINGS):
        release.execute(name, "sh", "-c", PING, container="worker")
    return (cpu_seconds(shim) - before - probes * (time.monotonic() - started) / 3600) / PINGS


def memory_table(release: Release) -> Table:
    workers = {pool: memory(release.pods("worker", pool)[0]) for pool in ("default", "reports", "io")}
    others = {name: memory(release.pods(name)[0]) for name in ("beat", "flower", "web", "redis", "postgresql")}
    floor = mebibytes(release.execute("deployment/shop-worker-default", "python", "-c", IMPORT, container="worker"))
    slot = (workers["default"] - workers["reports"]) / (SLOTS["default"] - SLOTS["reports"])
    table = Table(
        "memory",
        "Memory of the pods of an idle stack, proportional set size in MiB",
        ("pod", "stalk", "project imported"),
    )

    def row(what: str, size: float) -> Figure:
        return Figure(what, f"{size:.0f}", f"{floor:.0f}", f"{size / floor:.1f} x")

    table.figures = [
        row("worker, prefork, 1 process", workers["reports"]),
        row("worker, prefork, 4 processes", workers["default"]),
        row("each further process of prefork", slot),
        row("worker, gevent, 20 greenlets", workers["io"]),
        *(row(name, size) for name, size in others.items() if name in ("beat", "flower", "web")),
        *(Figure(name, f"{size:.0f}") for name, size in others.items() if name in ("redis", "postgresql")),
    ]
    table.notes = ["Memory that processes share is divided among them, that of the image's files among pods too."]
    return table


def probes_table(release: Release) -> Table:
    pod = release.pods("worker", "default")[0]
    shim = shim_of(pod)
    probes = probes_an_hour(shim)
    ping = seconds_of_ping(release, name_of(pod), shim, probes)
    pings = 3600 / SECONDS_BETWEEN_PINGS * ping
    percent = 100 * probes / pings
    table = Table(
        "probes",
        "Probes of a worker's pod: the heartbeat's file, or a ping as liveness probe",
        ("measure", "stalk", "celery inspect ping"),
    )
    table.figures = [
        Figure("CPU ms of one ping", "", f"{1000 * ping:.0f}"),
        Figure(
            "CPU seconds in an hour",
            f"{probes:.0f}",
            f"{pings:.0f}",
            f"{percent:.0f} %",
            f"<= {AIM_PERCENT} %",
            percent <= AIM_PERCENT,
        ),
    ]
    table.notes = [
        f"Stalk: every probe of an idle worker's pod in {WINDOW} s. Ping: one every {SECONDS_BETWEEN_PINGS} s, as "
        "apache/airflow's chart has it.",
        "Both with what containerd takes to start a process there, without what a ping costs the worker and Redis.",
    ]
    return table


def measure() -> list[Table]:
    with namespace("pods") as release:
        release.install(VALUES)
        # The first probes come every two seconds, and gunicorn's processes are young.
        time.sleep(SETTLE)
        return [memory_table(release), probes_table(release)]
