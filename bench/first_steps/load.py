"""Sends a no-op task and times its results; the same code for every worker that is measured.

It runs in the container with the measured app's own interpreter, and prints one JSON object:
  load.py APP TASK QUEUE burst COUNT     seconds from the first `delay` to the last result
  load.py APP TASK QUEUE paced COUNT HZ  seconds from each `delay` to its result, HZ sent in a second
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from celery import Celery
from celery.app.utils import find_app
from celery.exceptions import TimeoutError as ResultsMissing
from celery.result import AsyncResult, ResultSet

WARM_UP = 50
TIMEOUT = 120
JIFFIES = 100


def send(app: Celery, task: str, queue: str) -> AsyncResult[None]:
    return app.signature(task).apply_async(queue=queue)


def cpu_seconds() -> dict[str, float]:
    """CPU time of every service so far, its ended child processes included."""
    spent: dict[str, float] = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            fields = (process / "stat").read_text().rsplit(")", 1)[1].split()
            groups = (process / "cgroup").read_text()
        except OSError:
            continue
        unit = next(
            (part for part in reversed(groups.replace("\n", "/").split("/")) if part.endswith(".service")), "other"
        )
        spent[unit] = spent.get(unit, 0.0) + sum(map(int, fields[11:15])) / JIFFIES
    return spent


def burst(app: Celery, task: str, queue: str, count: int) -> dict[str, Any]:
    before, started = cpu_seconds(), time.perf_counter()
    results = ResultSet([send(app, task, queue) for _ in range(count)], app=app)
    sent = time.perf_counter()
    results.join_native(timeout=TIMEOUT) if results.supports_native_join else results.join(timeout=TIMEOUT)
    ended, after = time.perf_counter(), cpu_seconds()
    milliseconds = {unit: 1000 * (after[unit] - before.get(unit, 0.0)) / count for unit in after}
    return {
        "seconds": ended - started,
        "sending": sent - started,
        "per_second": count / (ended - started),
        "cpu_ms_per_task": {unit: round(cost, 3) for unit, cost in milliseconds.items() if cost >= 0.005},
    }


def paced(app: Celery, task: str, queue: str, count: int, hertz: float) -> dict[str, Any]:
    """Latency counts from the moment that the pace set, so a late send is not forgiven."""
    latencies, started = [], time.perf_counter()
    for number in range(count):
        due = started + number / hertz
        time.sleep(max(0.0, due - time.perf_counter()))
        send(app, task, queue).get(timeout=TIMEOUT)
        latencies.append(time.perf_counter() - due)
    return {"latencies": latencies}


def main() -> None:
    name, task, queue, kind, *numbers = sys.argv[1:]
    app = find_app(name)
    app.loader.import_default_modules()
    try:
        burst(app, task, queue, WARM_UP)
        if kind == "burst":
            measured = burst(app, task, queue, int(numbers[0]))
        else:
            measured = paced(app, task, queue, int(numbers[0]), float(numbers[1]))
    except ResultsMissing:
        print(f"{name}: not every result came within {TIMEOUT} s", file=sys.stderr, flush=True)
        # Each waiting result would now print a traceback of its own.
        os._exit(1)
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
