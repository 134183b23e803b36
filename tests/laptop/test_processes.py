"""`make processes`: the same without containers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from laptop import ROOT
from resources.waiting import wait_for
from storefront import Shop, watch

ORDERS = 20


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def running(log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, ROOT / "tools" / "processes.py"],
            env={**os.environ, "PYTHONPATH": str(ROOT / ".ansible" / "collections")},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    yield process
    process.terminate()
    process.wait(120)


def test_orders_ship_and_an_end_leaves_no_process(running: subprocess.Popen[bytes], log: Path) -> None:
    wait_for("the workers run", lambda: log.read_text().count("[queues]") == 4)
    wait_for("the web answers", lambda: "Quit the server" in log.read_text())
    shop = Shop("shop.localhost", None, "127.0.0.1", 8000)
    assert watch(shop, shop.place_orders(ORDERS))["notified"] == ORDERS
    assert requests.get("http://127.0.0.1:5555/flower/", timeout=10).status_code == 401
    begun = started_by(running.pid)
    assert len(begun) > 8
    running.send_signal(signal.SIGINT)
    assert running.wait(60) == 0
    assert [pid for pid in begun if Path(f"/proc/{pid}").exists()] == []


def started_by(pid: int) -> list[int]:
    """All below it."""
    children = [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]
    return children + [each for child in children for each in started_by(child)]
