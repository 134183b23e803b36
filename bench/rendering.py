"""How long `helm template` takes for few and for many pools, and how large their release is."""

from __future__ import annotations

import base64
import gzip
import json
import resource
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench.report import Figure, Table
from bench.server import run
from tests.helm import BIN, CHART

FEW, SOME, MANY = 3, 100, 500
ROUNDS = 5
MANY_AIM = 5
LINEAR_AIM = 1.2
RECORD_AIM = 1024
"""KiB: the most that Kubernetes takes into a Secret, where Helm keeps a release."""


def description(pools: int) -> dict[str, Any]:
    """So many pools, that of the defaults included; each other has a queue, a route and a variable of its own."""
    customers = [f"customer-{number}" for number in range(1, pools)]
    return {
        "app": {"routes": {f"shop.tasks.{name}.*": name for name in customers}},
        "pools": {
            name: {"queues": [name], "scale": {"max": 10 if number % 2 else None}, "env": {"CUSTOMER": name}}
            for number, name in enumerate(customers)
        },
    }


def write_empty_chart(folder: Path) -> Path:
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: empty\nversion: 1.0.0\n")
    (folder / "templates" / "configmap.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: empty}\n")
    return folder


@dataclass
class Renderings:
    """Of one description: the seconds and the CPU seconds of each round, and what came out."""

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    manifests: str = ""

    def add(self, chart: Path, *arguments: str) -> None:
        cpu, started = cpu_of_children(), time.monotonic()
        self.manifests = run([str(BIN / "helm"), "template", "shop", str(chart), *arguments])
        self.seconds.append(time.monotonic() - started)
        self.cpu.append(cpu_of_children() - cpu)


def cpu_of_children() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def record_size(manifests: str, values: str) -> float:
    """KiB of a release in its Secret: compressed, in base64 (helm, pkg/storage/driver/util.go)."""
    files = {
        str(path): base64.b64encode(path.read_bytes()).decode()
        for path in CHART.rglob("*")
        if path.is_file() and "tests" not in path.parts
    }
    release = json.dumps({"manifest": manifests, "chart": files, "config": values})
    return len(base64.b64encode(gzip.compress(release.encode()))) / 1024


def measure() -> list[Table]:
    with tempfile.TemporaryDirectory() as folder:
        empty = write_empty_chart(Path(folder) / "empty")
        files = {pools: Path(folder) / f"{pools}.json" for pools in (FEW, SOME, MANY)}
        for pools, file in files.items():
            file.write_text(json.dumps(description(pools)))
        floor, stalk = Renderings(), {pools: Renderings() for pools in files}
        # In turn, so that what else the machine does meets all.
        for _ in range(ROUNDS):
            floor.add(empty)
            for pools, file in files.items():
                stalk[pools].add(CHART, "--values", str(file))
        sizes = {pools: record_size(stalk[pools].manifests, file.read_text()) for pools, file in files.items()}
    bare = median(floor.seconds)
    took = {pools: median(stalk[pools].seconds) for pools in files}
    each = {pools: 1000 * median(stalk[pools].cpu) / pools for pools in files}
    linear = each[MANY] / each[SOME]

    table = Table("rendering", "`helm template` of a stack with many pools", ("pools", "stalk", "peer"))
    table.figures = [
        Figure(
            f"{FEW}: seconds; beside an empty chart", f"{took[FEW]:.2f}", f"{bare:.2f}", f"{took[FEW] / bare:.1f} x"
        ),
        Figure(f"{SOME}: seconds", f"{took[SOME]:.2f}"),
        Figure(f"{MANY}: seconds", f"{took[MANY]:.2f}", aim=f"<= {MANY_AIM} s", met=took[MANY] <= MANY_AIM),
        Figure(
            f"{MANY}: CPU ms for a pool; beside {SOME}",
            f"{each[MANY]:.1f}",
            f"{each[SOME]:.1f}",
            f"{linear:.2f} x",
            f"<= {LINEAR_AIM} x",
            linear <= LINEAR_AIM,
        ),
        Figure(
            f"{MANY}: KiB of the release; beside {FEW}",
            f"{sizes[MANY]:.0f}",
            f"{sizes[FEW]:.0f}",
            f"{sizes[MANY] / sizes[FEW]:.1f} x",
            f"<= {RECORD_AIM}",
            sizes[MANY] <= RECORD_AIM,
        ),
    ]
    table.notes = [f"Median of {ROUNDS}. Each pool has a queue, a route and a variable of its own; half are scaled."]
    return [table]
