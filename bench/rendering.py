"""How long `helm template` takes for few and for many pools, and how large their release is."""

from __future__ import annotations

import base64
import gzip
import json
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from bench.report import ROOT, Figure, Table
from bench.server import run

HELM = ROOT / ".cache" / "bin" / "helm"
CHART = ROOT / "helm" / "stalk"
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


def render(chart: Path, *arguments: str) -> tuple[float, str]:
    """Seconds and manifests."""
    started = time.monotonic()
    manifests = run([str(HELM), "template", "shop", str(chart), *arguments])
    return time.monotonic() - started, manifests


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
        seconds: dict[int, list[float]] = {pools: [] for pools in (0, *files)}
        sizes = {}
        # In turn, so that what else the machine does meets all.
        for _ in range(ROUNDS):
            seconds[0].append(render(empty)[0])
            for pools, file in files.items():
                elapsed, manifests = render(CHART, "--values", str(file))
                seconds[pools].append(elapsed)
                sizes[pools] = record_size(manifests, file.read_text())
    floor = median(seconds[0])
    took = {pools: median(seconds[pools]) for pools in files}
    each = {pools: 1000 * took[pools] / pools for pools in files}
    linear = each[MANY] / each[SOME]

    table = Table("rendering", "`helm template` of a stack with many pools", ("pools", "stalk", "empty chart"))
    table.figures = [
        Figure(f"{FEW}: seconds", f"{took[FEW]:.2f}", f"{floor:.2f}", f"{took[FEW] / floor:.1f} x"),
        Figure(f"{SOME}: seconds", f"{took[SOME]:.2f}"),
        Figure(f"{MANY}: seconds", f"{took[MANY]:.2f}", aim=f"<= {MANY_AIM} s", met=took[MANY] <= MANY_AIM),
        Figure(
            f"{MANY}: ms for a pool; beside {SOME}",
            f"{each[MANY]:.1f}",
            f"{each[SOME]:.1f}",
            f"{linear:.2f} x",
            f"<= {LINEAR_AIM} x",
            linear <= LINEAR_AIM,
        ),
        Figure(
            f"{MANY}: KiB of the release",
            f"{sizes[MANY]:.0f}",
            f"{sizes[FEW]:.0f} of {FEW} pools",
            f"{sizes[MANY] / sizes[FEW]:.1f} x",
            f"<= {RECORD_AIM}",
            sizes[MANY] <= RECORD_AIM,
        ),
    ]
    table.notes = [f"Median of {ROUNDS}. Each pool has a queue, a route and a variable of its own; half are scaled."]
    return [table]
