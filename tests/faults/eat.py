"""Eats memory in the container of a worker until one of the processes of the command line is gone."""

import os
import signal
import sys
import time
from pathlib import Path

# Each of those that eat is smaller than any of these, as the kernel takes what is largest among those with high marks,
# and Kubernetes marks every process of such a pod highly.
CHUNK, PAUSE = 16 << 20, 0.1

children = [Path("/proc", number) for number in sys.argv[1:]]
for child in children:
    (child / "oom_score_adj").write_text("1000")

eaters: list[int] = []
try:
    while all(child.exists() for child in children):
        eater = os.fork()
        if not eater:
            eaten = b"x" * CHUNK
            signal.pause()
        eaters.append(eater)
        time.sleep(PAUSE)
finally:
    for eater in eaters:
        os.kill(eater, signal.SIGKILL)
