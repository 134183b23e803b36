"""How soon a burst of tasks has more workers, and is done, beside a CPU autoscaler and KEDA as Airflow sets it up."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from resources.waiting import wait_for

from bench.namespace import namespace
from bench.report import Figure, Table
from tests.cluster.release import Release, name_of

TASKS = 1000
SECONDS_OF_A_TASK = 1
CONCURRENCY = 2
LEAST, MOST = 1, 10
REQUEST = "100m"
AIM = 15
PATIENCE = 240
"""With the one worker that a CPU autoscaler leaves, a burst takes 500 s; its wait ends here."""

POOL = "burst"
WORKERS = "shop-worker-burst"
VALUES: dict[str, Any] = {
    "pools": {
        POOL: {
            "queues": [POOL],
            "concurrency": CONCURRENCY,
            "scale": {"min": LEAST, "max": MOST, "queue_length": 10},
            # Ten of them have to find room, and what an idle worker takes is not to look like work.
            "kubernetes": {"resources": {"requests": {"cpu": REQUEST}}},
        },
        "high": None,
        "reports": None,
        "io": None,
    },
    "app": {"queues": [POOL], "routes": {f"shop.tasks.{task}": None for task in (
        "charge_order", "notify_order", "deliver_webhook", "build_report",
    )}},
    "flower": {"enabled": False},
}  # fmt: skip

SEND = """
import time
import config.celery
from django.db import transaction
from shop.tasks import record_effect
with transaction.atomic():
    for number in range({tasks}):
        record_effect.apply_async_on_commit((f"{name}-{{number}}", {seconds}), queue="{pool}")
    print(time.time())
"""
PROGRESS = """
SELECT count(*) FILTER (WHERE effects > 0), count(*) FILTER (WHERE effects > 1), count(*) FILTER (WHERE starts > 1),
  count(DISTINCT worker) FILTER (WHERE effects > 0), extract(epoch FROM max(at)),
  extract(epoch FROM min(at) FILTER (WHERE worker <> '{first}'))
FROM shop_ledgerentry WHERE key LIKE '{name}-%'
"""
WORKERS_OF = "SELECT DISTINCT worker FROM shop_ledgerentry WHERE key LIKE '{name}-%' AND worker <> ''"


@dataclass(frozen=True)
class Burst:
    """Seconds since the burst was committed, by the workers' clock; what never came is None."""

    done: int
    twice: int
    delivered_again: int
    workers: int
    killed: int
    empty: float | None
    first_extra: float | None

    def seconds(self, value: float | None) -> str:
        return f"none in {PATIENCE}" if value is None else f"{value:.0f}"


def burst(release: Release, name: str) -> Burst:
    """Sends the tasks to a pool of one idle worker and waits until they took effect."""
    pod = name_of(release.pods("worker", POOL)[0])
    code = SEND.format(tasks=TASKS, name=name, seconds=SECONDS_OF_A_TASK, pool=POOL)
    sent = float(release.django(code).split()[-1])
    query = PROGRESS.format(name=name, first=f"{POOL}@{pod}")
    deadline = time.monotonic() + PATIENCE
    while True:
        done, twice, again, workers, last, extra = release.sql(query)[0]
        if int(done) == TASKS or time.monotonic() > deadline:
            return Burst(
                done=int(done),
                twice=int(twice),
                delivered_again=int(again),
                workers=int(workers),
                killed=len({row[0] for row in release.sql(WORKERS_OF.format(name=name))} - unharmed(release)),
                empty=float(last) - sent if int(done) == TASKS else None,
                first_extra=float(extra) - SECONDS_OF_A_TASK - sent if extra else None,
            )
        time.sleep(2)


def unharmed(release: Release) -> set[str]:
    """The pool's workers whose containers have not ended since they started first."""
    return {
        f"{POOL}@{name_of(pod)}"
        for pod in release.pods("worker", POOL)
        if all(container["restartCount"] == 0 for container in pod["status"]["containerStatuses"])
    }


def cpu_autoscaler() -> dict[str, Any]:
    """80 % of the CPU request, as `kubectl autoscale --cpu=80%` makes it."""
    target = {"type": "Utilization", "averageUtilization": 80}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "by-cpu"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": WORKERS},
            "minReplicas": LEAST,
            "maxReplicas": MOST,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    }


def as_airflow(scaled_object: dict[str, Any]) -> dict[str, Any]:
    """The chart's triggers with what apache/airflow's chart has: (queued + running) / concurrency, rounded up, a worker
    for each, polled every 5 s, a cooldown of 30 s, KEDA's own behavior."""
    spec = scaled_object["spec"]
    return {
        "apiVersion": scaled_object["apiVersion"],
        "kind": scaled_object["kind"],
        "metadata": {"name": "as-airflow"},
        "spec": {
            "scaleTargetRef": spec["scaleTargetRef"],
            "pollingInterval": 5,
            "cooldownPeriod": 30,
            "minReplicaCount": LEAST,
            "maxReplicaCount": MOST,
            "advanced": {
                "scalingModifiers": {
                    "formula": f"ceil((queue0 + running) / {CONCURRENCY})",
                    "target": "1",
                    "metricType": "AverageValue",
                }
            },
            "triggers": spec["triggers"],
        },
    }


def back_to_one(release: Release) -> None:
    """One worker that is ready, no scaler, and nobody ending."""
    for kind in ("scaledobject", "horizontalpodautoscaler"):
        release.kubectl("delete", kind, "--all", "--wait")
    release.kubectl("scale", f"deployment/{WORKERS}", f"--replicas={LEAST}")
    selector = f"stalk.celery/pool={POOL}"
    back = f"{WORKERS} comes back to {LEAST}"
    wait_for(back, lambda: len(release.get("pods", "--selector", selector)) <= LEAST, PATIENCE)
    release.wait(f"deployment/{WORKERS}", "condition=Available", PATIENCE)


def empty_the_queue(release: Release) -> None:
    """Takes away what a burst left that was not waited for."""
    release.execute("shop-redis-0", "sh", "/etc/stalk/redis/ask", "DEL", f"shop:{POOL}")


def measure() -> list[Table]:
    with namespace("scaling") as release:
        release.install(VALUES)
        ours = release.get("scaledobject", WORKERS)
        bursts = {"stalk": burst(release, "stalk")}
        for name, scaler in {"airflow": as_airflow(ours), "cpu": cpu_autoscaler()}.items():
            back_to_one(release)
            release.apply(json.dumps(scaler))
            if name == "airflow":
                release.wait("scaledobject/as-airflow", "condition=Ready")
            bursts[name] = burst(release, name)
            empty_the_queue(release)
    return [table(bursts)]


def table(bursts: dict[str, Burst]) -> Table:
    stalk, airflow, cpu = bursts["stalk"], bursts["airflow"], bursts["cpu"]
    soon = stalk.first_extra is not None and stalk.first_extra <= AIM
    whole = (stalk.done, stalk.twice, stalk.killed) == (TASKS, 0, 0)
    result = Table(
        "scaling",
        f"{TASKS} tasks of {SECONDS_OF_A_TASK} s for a pool of {LEAST} to {MOST} workers of {CONCURRENCY} processes",
        ("measure", "stalk", "KEDA as Airflow's chart; CPU autoscaler"),
    )
    result.figures = [
        Figure(
            "first further worker has a task, s",
            stalk.seconds(stalk.first_extra),
            f"{airflow.seconds(airflow.first_extra)}; {cpu.seconds(cpu.first_extra)}",
            ratio(stalk.first_extra, airflow.first_extra),
            f"<= {AIM} s",
            soon,
        ),
        Figure(
            "all tasks done, s",
            stalk.seconds(stalk.empty),
            f"{airflow.seconds(airflow.empty)}; {cpu.seconds(cpu.empty)}",
            ratio(stalk.empty, airflow.empty),
        ),
        Figure("workers that did some", f"{stalk.workers}", f"{airflow.workers}; {cpu.workers}"),
        Figure(
            "tasks done, done twice, workers killed",
            f"{stalk.done}, {stalk.twice}, {stalk.killed}",
            "; ".join(f"{each.done}, {each.twice}, {each.killed}" for each in (airflow, cpu)),
            aim=f"{TASKS}, 0, 0",
            met=whole,
        ),
        Figure(
            "tasks delivered again", f"{stalk.delivered_again}", f"{airflow.delivered_again}; {cpu.delivered_again}"
        ),
    ]
    result.notes = [
        "Delivered again: the outbox sends a second message for what has waited a minute; it finds the work done.",
        "Each from one idle worker, one after the other on the same release; seconds since the tasks' commit.",
        f"The tasks sleep, as those do that wait for others; the CPU autoscaler has 80 % of a request of {REQUEST}.",
    ]
    return result


def ratio(stalk: float | None, peer: float | None) -> str:
    return f"{stalk / peer:.2f} x" if stalk and peer else ""
