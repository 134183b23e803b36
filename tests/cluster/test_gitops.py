"""The manifests alone, as Argo CD, Flux or `kubectl apply` take them."""

from __future__ import annotations

import pytest
from cluster import ClusterFailed
from resources.waiting import wait_for
from storefront import watch

from tests.cluster.release import BRIEF, Release

ORDERS = 10
SECONDS = 180
# What the Jobs do and what they are: another plan, and pods of another form, as another tag makes them.
CHANGED = {"annotations": {"example.org/release": "second"}}
NEXT = {"flower": {"enabled": True}, "app": {"kubernetes": {"secrets": CHANGED, "queues": CHANGED}}}
JOBS = ("shop-secrets-hook", "shop-queues-hook")


@pytest.fixture(scope="module")
def manifests(empty_release: Release) -> str:
    empty_release.files += (BRIEF,)
    return empty_release.template()


@pytest.fixture(scope="module")
def applied(empty_release: Release, manifests: str) -> Release:
    empty_release.kubectl("apply", "--filename=-", stdin=manifests)
    until_all_is_rolled(empty_release)
    return empty_release


def until_all_is_rolled(release: Release) -> None:
    for workload in release.get("deployments,statefulsets"):
        name = f"{workload['kind'].lower()}/{workload['metadata']['name']}"
        release.kubectl("rollout", "status", name, f"--timeout={SECONDS}s")


def test_what_was_applied_ships_orders(applied: Release) -> None:
    with applied.shop() as shop:
        assert watch(shop, shop.place_orders(ORDERS))["shipped"] == ORDERS


def contents(release: Release) -> dict[str, str]:
    """A number for each object that another content would change; `status` is none."""
    found = release.get(
        "all,configmaps,networkpolicies,poddisruptionbudgets,serviceaccounts,roles,rolebindings,secrets"
    )
    about = {f"{one['kind']}/{one['metadata']['name']}": one["metadata"] for one in found if one["kind"] != "Pod"}
    return {name: str(each.get("generation", each["resourceVersion"])) for name, each in about.items()}


def test_applied_again_it_changes_nothing(applied: Release, manifests: str) -> None:
    wait_for("the Jobs end", lambda: all(job["status"].get("succeeded") for job in applied.get("jobs")))
    before = contents(applied), applied.running_pods()
    applied.kubectl("apply", "--filename=-", stdin=manifests)
    assert (contents(applied), applied.running_pods()) == before


def test_the_next_description_is_applied_once_both_jobs_are_deleted(applied: Release) -> None:
    changed = applied.template(NEXT)
    with pytest.raises(ClusterFailed, match="field is immutable") as refused:
        applied.kubectl("apply", "--dry-run=server", "--filename=-", stdin=changed)
    assert all(job in str(refused.value) for job in JOBS)
    applied.kubectl("delete", "jobs", *JOBS)
    applied.kubectl("apply", "--filename=-", stdin=changed)
    until_all_is_rolled(applied)
    assert len(applied.pods("flower")) == 1
    with applied.shop() as shop:
        assert watch(shop, shop.place_orders(ORDERS))["shipped"] == ORDERS
