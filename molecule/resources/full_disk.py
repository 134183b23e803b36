"""A folder of a server on a disk without room."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from resources.deployment import Server


@contextmanager
def full_disk(server: Server, unit: str, folder: str, megabytes: int) -> Iterator[None]:
    """The folder is on a small disk for a while, which something else fills; its unit is stopped to take it there."""
    while_stopped(
        server,
        unit,
        f"cp -aT {folder} /root/data; mount -t tmpfs -o size={megabytes}m tmpfs {folder}; cp -aT /root/data {folder}",
    )
    try:
        server.attempt("dd", "if=/dev/zero", f"of={folder}/filler", "bs=64k")
        yield
    finally:
        back = f"rm -r {folder}/filler /root/data; cp -aT {folder} /root/data; umount {folder}; rm -r {folder}/*"
        while_stopped(server, unit, f"{back}; cp -aT /root/data {folder}; rm -r /root/data")


def while_stopped(server: Server, unit: str, commands: str) -> None:
    server.run("systemctl", "stop", unit)
    server.run("sh", "-ec", commands)
    server.run("systemctl", "start", unit)
