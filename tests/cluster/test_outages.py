"""Pods that start while what they need is away: they say so, wait, and lose nothing that was queued."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from resources.waiting import wait_for
from storefront import watch

from tests.cluster.release import Release, is_ready, name_of

ORDERS = 10
SECONDS = 180
"""Until a pod has started and speaks, on a machine that is busy with other tests."""


@contextmanager
def away(release: Release, component: str) -> Iterator[None]:
    workload = f"statefulset/shop-{component}"
    release.kubectl("scale", workload, "--replicas=0")
    wait_for(
        f"{component} is gone", lambda: not release.get("pods", f"--selector=app.kubernetes.io/component={component}")
    )
    try:
        yield
    finally:
        release.kubectl("scale", workload, "--replicas=1")
        release.kubectl("rollout", "status", workload, "--timeout=120s")


def start_anew(release: Release, component: str, pool: str = "") -> str:
    """The name of the pod that takes the place of the one that is deleted."""
    (old,) = map(name_of, release.pods(component, pool))
    release.kubectl("delete", "pod", old, "--wait=false")
    return wait_for("another pod", lambda: {*map(name_of, release.pods(component, pool))} - {old}).pop()


def logged(release: Release, pod: str, container: str, words: str) -> str:
    """The first line of a container's log with these words; nothing before it says them."""
    found = release.get("pod", pod)["status"]
    started = [*found.get("initContainerStatuses", []), *found.get("containerStatuses", [])]
    if not any(one["name"] == container and "waiting" not in one["state"] for one in started):
        return ""
    lines = release.kubectl("logs", pod, "--container", container).splitlines()
    return next((line for line in lines if words in line), "")


def comes_up(release: Release, pod: str) -> None:
    release.wait(f"pod/{pod}", "condition=Ready", seconds=SECONDS)


def test_who_starts_without_the_database_waits_for_it_and_ships_what_was_queued(standing_release: Release) -> None:
    release = standing_release
    with release.shop() as shop:
        batch = shop.place_orders(ORDERS)
    with away(release, "postgresql"):
        pods = [start_anew(release, "worker", "high"), start_anew(release, "web")]
        for pod in pods:
            line = wait_for(
                f"{pod} says what it waits for",
                partial(logged, release, pod, "migrations", "The database does not answer: "),
                SECONDS,
            )
            assert "shop-postgresql" in line or "5432" in line
            assert not is_ready(release.get("pod", pod))
    for pod in pods:
        comes_up(release, pod)
    with release.shop() as shop:
        assert watch(shop, batch)["shipped"] == ORDERS


@pytest.mark.long
def test_a_worker_that_starts_without_the_broker_waits_for_it_and_ships_what_was_ordered_meanwhile(
    standing_release: Release,
) -> None:
    release = standing_release
    with release.shop() as shop:
        with away(release, "redis"):
            pod = start_anew(release, "worker", "high")
            batch = shop.place_orders(ORDERS)
            line = wait_for(
                f"{pod} says what it waits for",
                lambda: logged(release, pod, "worker", "Cannot connect to rediss://"),
                SECONDS,
            )
            assert "shop-redis:6379" in line
            assert not is_ready(release.get("pod", pod))
        comes_up(release, pod)
        assert watch(shop, batch)["shipped"] == ORDERS
