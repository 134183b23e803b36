"""CPU time of the liveness check, beside `celery inspect ping` at the same interval."""

from __future__ import annotations

from bench import server
from bench.report import Figure, Table
from bench.server import inside
from bench.throughput import VENV, service

SECONDS_BETWEEN_CHECKS = 30
SECONDS_BETWEEN_BEATS = 5
CHECKS = 60
PINGS = 5
BEATS = 2000
AIM_PERCENT = 1.0
CHECK = "shop-heartbeat@worker-default.service"
TIMERS = "shop-heartbeat@*.timer"
UNLIMITED = f"/run/systemd/system/{CHECK}.d/bench.conf"

# CPU of the manager, of what it started and has reaped, and of the journal: a check lives in these alone.
SPENT = """
for process in 1 $(pidof systemd-journald) $(pidof dbus-daemon); do
  cut -d')' -f2- /proc/$process/stat | cut -d' ' -f13-16 | tr ' ' '+'
done | paste -sd+ | sed 's/^/echo $((/;s/$/))/' | sh
"""
BEAT = """
import time
from celery_ops.heartbeat import HeartbeatFile
file = HeartbeatFile("/tmp/bench-heartbeat", 0)
content = {"hostname": "default@stalk-bench", "concurrency": 2, "active": 0, "reserved": 0, "consuming": True}
started = time.process_time()
for _ in range(%d):
    file.write(content)
print(time.process_time() - started)
"""


def cpu_seconds() -> float:
    return int(inside("sh", "-c", SPENT)) / 100


def allow_many_starts() -> None:
    inside("mkdir", "-p", UNLIMITED.rsplit("/", 1)[0])
    inside("tee", UNLIMITED, text="[Unit]\nStartLimitIntervalSec=0\n")
    inside("systemctl", "daemon-reload")


def seconds_of_checks() -> float:
    """CPU seconds of one check, systemd's share in starting it included."""
    before = cpu_seconds()
    inside("sh", "-c", f"for number in $(seq {CHECKS}); do systemctl start {CHECK}; done")
    return (cpu_seconds() - before) / CHECKS


def seconds_of_pings() -> float:
    before = cpu_seconds()
    node = f"default@{inside('hostname').strip()}"
    command = (f"{VENV}/celery", "-A", "config.celery", "inspect", "ping", "--destination", node, "--timeout", "5")
    for _ in range(PINGS):
        service("bench-ping.service", "worker", "/srv/shop/current/app", *command, wait=True)
    return (cpu_seconds() - before) / PINGS


def seconds_of_beat() -> float:
    """CPU seconds that a worker spends on writing its heartbeat once."""
    return (
        float(inside("sh", "-c", 'cd /srv/shop/current/app && exec "$0" -c "$1"', f"{VENV}/python", BEAT % BEATS))
        / BEATS
    )


def measure() -> list[Table]:
    server.ensure_converged()
    inside("systemctl", "stop", TIMERS)
    allow_many_starts()
    try:
        check, ping = seconds_of_checks(), seconds_of_pings()
    finally:
        inside("rm", "-f", UNLIMITED)
        inside("systemctl", "daemon-reload")
        inside("systemctl", "start", "shop.target")
    beat = seconds_of_beat()
    checks, beats = 3600 // SECONDS_BETWEEN_CHECKS, 3600 // SECONDS_BETWEEN_BEATS
    stalk, peer = checks * check + beats * beat, checks * ping
    ratio, share = 100 * stalk / peer, 100 * stalk / 3600
    table = Table(
        "liveness",
        f"Liveness of a worker every {SECONDS_BETWEEN_CHECKS} s",
        ("measure", "age of the heartbeat file", "celery inspect ping"),
    )
    table.figures = [
        Figure("CPU ms of one check", f"{1000 * check:.1f}", f"{1000 * ping:.0f}", f"{100 * check / ping:.2f} %"),
        Figure(
            "CPU seconds in an hour",
            f"{stalk:.2f}",
            f"{peer:.0f}",
            f"{ratio:.2f} %",
            f"< {AIM_PERCENT:g} %",
            ratio < AIM_PERCENT,
        ),
        Figure(
            "share of one core",
            f"{share:.3f} %",
            f"{100 * peer / 3600:.1f} %",
            "",
            f"< {AIM_PERCENT:g} %",
            share < AIM_PERCENT,
        ),
    ]
    table.notes = [
        f"One check: mean over {CHECKS} starts of {CHECK}, what systemd spends on it included.",
        f"An hour holds {checks} of them, and {beats} writes of the file by the worker, {1000 * beat:.2f} ms each.",
        "Of the ping only its own process counts, not what the worker, Redis and the other workers do for it.",
    ]
    return [table]
