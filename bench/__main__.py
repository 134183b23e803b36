"""Runs the parts named on the command line, or all, prints their tables and saves them."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable

from bench import brokers, convergence, failover, installation, liveness, pods, rendering, scaling, server, throughput
from bench.report import Table, machine, today

PARTS: dict[str, Callable[[], list[Table]]] = {
    "convergence": convergence.measure,
    "throughput": throughput.measure,
    "brokers": brokers.measure,
    "failover": failover.measure,
    "liveness": liveness.measure,
    "rendering": rendering.measure,
    "installation": installation.measure,
    "scaling": scaling.measure,
    "pods": pods.measure,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"any of: {', '.join(PARTS)}; all when none is named")
    parser.add_argument("--keep", action="store_true", help="leave the container running")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are: {', '.join(PARTS)}")
    started = time.monotonic()
    try:
        for part in arguments.parts or PARTS:
            load, _, _ = os.getloadavg()
            for table in PARTS[part]():
                table.notes.append(f"Load of the machine before: {load:.1f}.")
                table.save()
                print(table.text(), end="\n\n", flush=True)
        if not arguments.keep:
            server.destroy()
    except server.BenchFailed as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"{machine()}; {today()}; the whole bench took {time.monotonic() - started:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
