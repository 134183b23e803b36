"""What systemd's watchdog hears."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from celery_ops import watchdog
from celery_ops.heartbeat import HeartbeatFile


@pytest.mark.parametrize("form", ["path", "abstract"])
def test_each_beat_tells_that_the_process_is_alive(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = {"path": str(tmp_path / "notify"), "abstract": f"@{tmp_path}"}[form]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address.replace("@", "\0"))
        systemd.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        HeartbeatFile(str(tmp_path / "heartbeat")).write({})
        assert systemd.recv(64) == b"WATCHDOG=1"


def test_a_process_that_systemd_did_not_start_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    watchdog.tell_alive()


def test_a_notify_socket_that_is_gone_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    watchdog.tell_alive()
