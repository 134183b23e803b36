"""Seconds from an empty namespace to the first task done, beside bare pods that only import the project."""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import Any

from resources.waiting import wait_for

from bench.namespace import namespace
from bench.report import Figure, Table
from tests.cluster.release import Release

AIM = 60
PATIENCE = 300

IMPORT = "import django, time; django.setup(); import config.celery; open('/tmp/up', 'w').close(); time.sleep(3600)"
SETTINGS = {
    "DJANGO_SETTINGS_MODULE": "config.settings",
    "DJANGO_SECRET_KEY": "x",
    "DATABASE_URL": "postgresql://x@x/x",
    "CELERY_BROKER_URL": "redis://x",
}


def seconds_since(started: float, timestamp: str) -> float:
    return datetime.fromisoformat(timestamp.replace("Z", "+00:00")).timestamp() - started


def ready_at(pod: dict[str, Any]) -> str:
    return str(next(one["lastTransitionTime"] for one in pod["status"]["conditions"] if one["type"] == "Ready"))


def wait_until_available(release: Release, *deployments: str) -> None:
    names = [f"deployment/{name}" for name in deployments] or ["deployment", "--all"]
    release.kubectl("wait", *names, "--for=condition=Available", f"--timeout={PATIENCE}s")


def order(release: Release) -> None:
    """Returns when a worker has charged an order that is placed on the site."""
    with release.shop() as shop:
        batch = shop.place_orders(1)
        wait_for("the order is charged", lambda: shop.progress(batch)["charged"], PATIENCE)


def milestones(release: Release, started: float) -> str:
    """When each part was ready, by the second that Kubernetes notes."""
    pods = {pod["metadata"]["name"]: pod for pod in release.get("pods")}
    migrations = next(name for name in pods if name.startswith("shop-migrations"))
    done = pods[migrations]["status"]["containerStatuses"][0]["state"]["terminated"]["finishedAt"]
    parts = {
        "Redis": ready_at(pods["shop-redis-0"]),
        "PostgreSQL": ready_at(pods["shop-postgresql-0"]),
        "the migrations": done,
        "the last worker": max(ready_at(pod) for pod in release.pods("worker")),
    }
    return ", ".join(f"{part} at {seconds_since(started, at):.0f} s" for part, at in parts.items())


def bare_pod(name: str, image: str, imports: bool) -> dict[str, Any]:
    command = ["python", "-c", IMPORT] if imports else ["sh", "-c", "touch /tmp/up && exec sleep 3600"]
    container = {
        "name": "bare",
        "image": image,
        "command": command,
        "env": [{"name": key, "value": value} for key, value in SETTINGS.items()],
        "readinessProbe": {"exec": {"command": ["test", "-e", "/tmp/up"]}, "periodSeconds": 1},
    }
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def floor_of(release: Release) -> dict[str, Any]:
    """A bare pod for each that runs; those of the app import it."""
    images = {
        pod["metadata"]["name"]: pod["spec"]["containers"][0]["image"]
        for pod in release.get("pods", "--field-selector=status.phase=Running")
    }
    app = images[next(name for name in images if "beat" in name)]
    pods = [bare_pod(name, image, image == app) for name, image in images.items()]
    return {"apiVersion": "v1", "kind": "List", "items": pods}


def seconds_of(floor: dict[str, Any]) -> float:
    with namespace("floor") as release:
        started = time.monotonic()
        release.apply(json.dumps(floor))
        release.kubectl("wait", "pods", "--all", "--for=condition=Ready", f"--timeout={PATIENCE}s")
        return time.monotonic() - started


def measure() -> list[Table]:
    with namespace("installation") as release:
        clock, started = time.time(), time.monotonic()
        release.install(wait=False)
        hook = time.monotonic() - started
        wait_until_available(release, "shop-web")
        order(release)
        first = time.monotonic() - started
        wait_until_available(release)
        ready = time.monotonic() - started
        when = milestones(release, clock)
        floor = floor_of(release)
    bare = seconds_of(floor)

    table = Table(
        "installation",
        "`helm install` of stack.yml into an empty namespace, images present",
        ("until", "stalk", "floor"),
    )
    table.figures = [
        Figure("the hook has made every secret, s", f"{hook:.1f}"),
        Figure(
            "an order placed on the site is charged, s",
            f"{first:.1f}",
            f"{bare:.1f}",
            f"{first / bare:.1f} x",
            f"<= {AIM} s",
            first <= AIM,
        ),
        Figure("every pod is ready, s", f"{ready:.1f}", f"{bare:.1f}", f"{ready / bare:.1f} x"),
    ]
    table.notes = [
        f"Ready: {when}.",
        f"The floor is {len(floor['items'])} bare pods of the same images at once; those of the app import it.",
    ]
    return [table]
