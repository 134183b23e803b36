"""What kube-score says of every object; each check that is left out has its reason."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable

import pytest

from tests.chart.renders import CASES, render
from tests.helm import BIN

PASSED = 10

# The limits are the user's: one that is too low kills a worker with tasks in hand, or the broker.
YOURS = {
    "container-resources": "limits are for the user to set",
    "container-ephemeral-storage-request-and-limit": "likewise",
    "container-image-pull-policy": "a tag of the user's does not move, and a node without its registry starts its pods",
    "service-type": "LoadBalancer is asked for by name",
}
NEVER = {
    "deployment-replicas": "Flower is one process; how many of web and of a pool there are is the user's",
    "pod-probes-identical": "liveness asks the same question, less often and with more patience",
    "deployment-strategy": "Flower's state is one file, which one process may write",
    "statefulset-has-servicename": "one replica behind a Service with an address; nobody asks for a pod by its name",
    "deployment-has-host-podantiaffinity": "topologySpreadConstraints spread the pods",
    "statefulset-has-host-podantiaffinity": "likewise",
    "container-security-context-user-group-id": "999 is the user of the official images of Redis and PostgreSQL",
    "horizontalpodautoscaler-replicas": "the least number of a pool is the user's",
}
# Which pod has the name that a node's Service asks for is known once there are pods.
NODES = ["service-targets-pod"]
OF_THE_CASE = {
    "13-network-off": ["pod-networkpolicy"],
    "43-backup-sentinel": NODES,
    "46-sentinel": NODES,
    "47-sentinel-cert-manager-narrow-existing-secret": NODES,
}
FURTHER = ("container-ports-check", "container-seccomp-profile")


def complaints(manifests: str, ignored: Iterable[str]) -> list[str]:
    options = [*(f"--ignore-test={name}" for name in ignored), *(f"--enable-optional-test={name}" for name in FURTHER)]
    scored = subprocess.run(
        [BIN / "kube-score", "score", *options, "--output-format=json", "-"],
        input=manifests,
        capture_output=True,
        text=True,
        check=False,
    )
    return [
        f"{made['object_name']}: {check['check']['id']}: {comment['path']} {comment['summary']}"
        for made in json.loads(scored.stdout)
        for check in made["checks"]
        if not check["skipped"] and check["grade"] < PASSED
        for comment in check["comments"] or ()
    ]


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_complained_of(case: str) -> None:
    assert complaints(render(case), [*YOURS, *NEVER, *OF_THE_CASE.get(case, [])]) == []


def test_the_values_can_satisfy_the_checks_that_are_the_users() -> None:
    assert complaints(render("23-limits"), NEVER) == []


@pytest.mark.parametrize("name", [*YOURS, *NEVER])
def test_every_check_that_is_left_out_would_complain(name: str) -> None:
    others = {*YOURS, *NEVER} - {name}
    assert any(complaints(render(case), others) for case in CASES)
