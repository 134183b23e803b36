"""Too little of what a server needs: room on its disk, memory, network."""

from __future__ import annotations

import time
from collections.abc import Callable

from resources.deployment import Server
from resources.full_disk import full_disk

SECONDS_OF_SHORTAGE = 20
# For the files of a database without data, and its log.
MEGABYTES = 256
MEMORY_LEFT, MEMORY_EATEN = 32 << 20, 96 << 20
# In the group of the unit, of which the kernel takes first what has the highest mark.
EAT = """
group=/sys/fs/cgroup$(awk -F: '$2 == "memory" {print "/memory" $3; found = 1} END {exit !found}' /proc/$1/cgroup \
  || awk -F: '$1 == 0 {print $3}' /proc/$1/cgroup)
echo $$ >"$group/cgroup.procs"
exec python3 -c "import sys, time; held = bytearray(int(sys.argv[1])); time.sleep(int(sys.argv[2]))" "$2" "$3"
"""
SLOW = ("rate", "96kbit", "burst", "8kb", "latency", "400ms")

Change = Callable[[Server], object]


def fill_disk(unit: str, folder: str) -> Change:
    def fill(server: Server) -> None:
        with full_disk(server, unit, folder, MEGABYTES):
            time.sleep(SECONDS_OF_SHORTAGE)

    return fill


def run_out_of_memory(unit: str) -> Change:
    """The kernel kills children of the unit's main process."""

    def run_out(server: Server) -> None:
        main = server.property(unit, "MainPID")
        children = server.run("pgrep", "--parent", main).split()
        for child in children:
            server.run("sh", "-c", f"echo 1000 >/proc/{child}/oom_score_adj")
        limit = int(server.property(unit, "MemoryCurrent")) + MEMORY_LEFT
        server.run("systemctl", "set-property", "--runtime", unit, f"MemoryMax={limit}")
        try:
            server.attempt("sh", "-c", EAT, "eat", main, str(MEMORY_EATEN), str(SECONDS_OF_SHORTAGE))
        finally:
            server.run("systemctl", "set-property", "--runtime", unit, "MemoryMax=infinity")
        left = server.run("pgrep", "--parent", main).split()
        assert set(children) - set(left), "the kernel killed no child"

    return run_out


def raise_memory_alarm(server: Server) -> None:
    """RabbitMQ has more in its memory than it may, and takes nothing from who publishes."""
    server.run("/usr/local/lib/shop/rabbitmqctl", "set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        time.sleep(SECONDS_OF_SHORTAGE)
    finally:
        server.run("systemctl", "reload", "shop-rabbitmq.service")


def slow_down_network(server: Server) -> None:
    """What the host sends waits in a short queue, and is dropped where that is full."""
    server.run("tc", "qdisc", "add", "dev", "eth0", "root", "tbf", *SLOW)
    time.sleep(SECONDS_OF_SHORTAGE)
    server.run("tc", "qdisc", "del", "dev", "eth0", "root")
