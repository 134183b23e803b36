"""The deployed app with one task more, which tells a socket when it runs: no result store is in the measure.

In the measured server, with a component's environment and credentials:
  celery --app=arrivals worker …         works on it
  arrivals.py QUEUE burst COUNT          sends COUNT at once, and prints how many arrived in a second
  arrivals.py QUEUE paced COUNT HERTZ    sends HERTZ in a second, and prints the seconds from each due send to its run
  arrivals.py QUEUE watch SECONDS HERTZ  sends all the time, and prints the seconds of the longest lull of arrivals
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import django
from config.celery import app

SOCKET = Path("/tmp/arrivals")
WATCHING = Path("/tmp/arrivals-watching")
"""There while `watch` sends."""
RECORD = struct.Struct("!dd")
WARM_UP = 50
TIMEOUT = 120

# Of the same broker, for comparison.
if kind := os.environ.get("ARRIVALS_QUEUE_TYPE"):
    app.conf.update(task_default_queue_type=kind, task_create_missing_queue_type=kind)


@app.task(name="arrivals.arrive", ignore_result=True)
def arrive(due: float) -> None:
    """Tells when it was due and when it runs, as this host's clock has it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.sendto(RECORD.pack(due, time.time()), str(SOCKET))


class Arrivals:
    def __init__(self) -> None:
        for left in (SOCKET, WATCHING):
            left.unlink(missing_ok=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(SOCKET))
        SOCKET.chmod(0o666)
        self.socket.settimeout(TIMEOUT)

    def next(self) -> tuple[float, float]:
        due, ran = RECORD.unpack(self.socket.recv(RECORD.size))
        return due, ran

    def take(self, count: int) -> list[tuple[float, float]]:
        return [self.next() for _ in range(count)]


def send(queue: str, count: int, hertz: float = 0) -> None:
    began = time.time()
    for number in range(count):
        due = began + number / hertz if hertz else time.time()
        time.sleep(max(0.0, due - time.time()))
        arrive.apply_async((due,), queue=queue)


def burst(arrivals: Arrivals, queue: str, count: int) -> dict[str, Any]:
    began = time.time()
    sender = threading.Thread(target=send, args=(queue, count))
    sender.start()
    last = max(ran for _, ran in arrivals.take(count))
    sender.join()
    return {"per_second": count / (last - began)}


def paced(arrivals: Arrivals, queue: str, count: int, hertz: float) -> dict[str, Any]:
    sender = threading.Thread(target=send, args=(queue, count, hertz))
    sender.start()
    latencies = [ran - due for due, ran in arrivals.take(count)]
    sender.join()
    return {"latencies": latencies}


def watch(arrivals: Arrivals, queue: str, seconds: float, hertz: float) -> dict[str, Any]:
    """A send that fails is tried again, as a user's would be; what is sent twice may arrive twice."""
    ended = time.time() + seconds

    def send_on() -> None:
        while (due := time.time()) < ended:
            try:
                arrive.apply_async((due,), queue=queue, retry=False)
            except Exception as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            time.sleep(max(0.0, due + 1 / hertz - time.time()))

    threading.Thread(target=send_on, daemon=True).start()
    WATCHING.touch()
    times = [time.time()]
    arrivals.socket.settimeout(1)
    while time.time() < ended:
        try:
            times.append(arrivals.next()[1])
        except TimeoutError:
            continue
    WATCHING.unlink()
    times = [*sorted(times), ended]
    return {"lull": max(later - earlier for earlier, later in pairwise(times))}


def main() -> None:
    # A worker does this itself; results in the database need it.
    django.setup()
    queue, kind, *numbers = sys.argv[1:]
    arrivals = Arrivals()
    burst(arrivals, queue, WARM_UP)
    match kind:
        case "burst":
            measured = burst(arrivals, queue, int(numbers[0]))
        case "paced":
            measured = paced(arrivals, queue, int(numbers[0]), float(numbers[1]))
        case _:
            measured = watch(arrivals, queue, float(numbers[0]), float(numbers[1]))
    print(json.dumps(measured))
    sys.stdout.flush()
    # No connection's end is waited for.
    os._exit(0)


if __name__ == "__main__":
    main()
