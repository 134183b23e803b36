"""CPU time of the liveness check, which is a worker's heartbeat, beside `celery inspect ping` every 30 s."""

from __future__ import annotations

from bench import server
from bench.report import Figure, Table
from bench.server import inside
from bench.service import VENV, service

SECONDS_BETWEEN_PINGS = 30
SECONDS_BETWEEN_BEATS = 5
PINGS = 5
BEATS = 20000
AIM_PERCENT = 1.0

# CPU of the manager, of what it started and has reaped, and of the journal: the heartbeats' and the pings' own
# processes are among those.
SPENT = """
for process in 1 $(pidof systemd-journald) $(pidof dbus-daemon); do
  cut -d')' -f2- /proc/$process/stat | cut -d' ' -f13-16 | tr ' ' '+'
done | paste -sd+ | sed 's/^/echo $((/;s/$/))/' | sh
"""
BEAT = """
from celery_ops.heartbeat import HeartbeatFile
file = HeartbeatFile("/tmp/bench-heartbeat")
content = {"hostname": "default@stalk-bench", "concurrency": 2, "active": 0, "reserved": 0, "consuming": True}
for _ in range(%d):
    file.write(content)
"""


def cpu_seconds() -> float:
    return int(inside("sh", "-c", SPENT)) / 100


def seconds_of_beats(count: int) -> float:
    """CPU seconds of a process that writes `count` heartbeats, and of systemd, whose watchdog hears them."""
    before = cpu_seconds()
    watched = ("--property=NotifyAccess=main", "--property=WatchdogSec=120")
    folder = "/srv/shop/current/app"
    service("bench-beat.service", "worker", folder, f"{VENV}/python", "-c", BEAT % count, wait=True, options=watched)
    return cpu_seconds() - before


def seconds_of_ping() -> float:
    before = cpu_seconds()
    node = f"default@{inside('hostname').strip()}"
    command = (f"{VENV}/celery", "-A", "config.celery", "inspect", "ping", "--destination", node, "--timeout", "5")
    for _ in range(PINGS):
        service("bench-ping.service", "worker", "/srv/shop/current/app", *command, wait=True)
    return (cpu_seconds() - before) / PINGS


def measure() -> list[Table]:
    server.ensure_converged()
    beat = (seconds_of_beats(BEATS) - seconds_of_beats(0)) / BEATS
    ping = seconds_of_ping()
    stalk, peer = 3600 / SECONDS_BETWEEN_BEATS * beat, 3600 / SECONDS_BETWEEN_PINGS * ping
    ratio = 100 * stalk / peer
    table = Table(
        "liveness",
        f"Liveness of a worker: a heartbeat every {SECONDS_BETWEEN_BEATS} s, a ping every {SECONDS_BETWEEN_PINGS} s",
        ("measure", "heartbeat and watchdog", "celery inspect ping"),
    )
    table.figures = [
        Figure("CPU ms of one", f"{1000 * beat:.2f}", f"{1000 * ping:.0f}"),
        Figure(
            "CPU seconds in an hour",
            f"{stalk:.2f}",
            f"{peer:.0f}",
            f"{ratio:.2f} %",
            f"< {AIM_PERCENT:g} %",
            ratio < AIM_PERCENT,
        ),
    ]
    table.notes = [
        f"Heartbeat: mean over {BEATS}, what systemd spends on hearing it included.",
        "Of the ping only its own process counts, not what the worker, Redis and the other workers do for it.",
    ]
    return [table]
