"""The watchdog of systemd (WatchdogSec= of a unit), which ends a service that no longer says that it is alive."""

from __future__ import annotations

import contextlib
import os
import socket


def tell_alive() -> None:
    """Sends WATCHDOG=1 as sd_notify(3) describes; does nothing where systemd did not start the process."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.sendto(b"WATCHDOG=1", address)
