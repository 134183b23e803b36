"""What a pod waits for."""

from __future__ import annotations

from typing import Any

import pytest
from pod_states import container_in_trouble, is_done, trouble_of


def pod(state: dict[str, Any] | None = None, *, init: bool = False, **status: Any) -> dict[str, Any]:
    containers = [{"name": "web", "state": state or {}}]
    return {"status": {"initContainerStatuses" if init else "containerStatuses": containers, **status}}


@pytest.mark.parametrize(
    "status",
    [{"phase": "Succeeded"}, {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}],
)
def test_a_pod_is_done_when_it_is_ready_or_has_ended_well(status: dict[str, Any]) -> None:
    assert is_done(pod(**status))


def test_a_pod_that_is_not_ready_is_not_done() -> None:
    assert not is_done(pod(phase="Running", conditions=[{"type": "Ready", "status": "False"}]))
    assert not is_done({"status": {}})


@pytest.mark.parametrize("reason", ["PodInitializing", "ContainerCreating"])
def test_a_container_on_its_way_is_no_trouble(reason: str) -> None:
    assert trouble_of(pod({"waiting": {"reason": reason}})) == ""
    assert trouble_of(pod({"running": {}})) == ""
    assert trouble_of(pod({"terminated": {"exitCode": 0}})) == ""


def test_an_image_that_is_not_there_is_named() -> None:
    waiting = {"waiting": {"reason": "ErrImagePull", "message": "localhost/shop:2: not found"}}
    assert trouble_of(pod(waiting, init=True)) == "container web: ErrImagePull: localhost/shop:2: not found"


def test_a_pod_that_fits_on_no_node_says_why() -> None:
    condition = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: 1 Insufficient cpu."}
    assert trouble_of(pod(conditions=[condition])) == "no node takes it: 0/1 nodes are available: 1 Insufficient cpu."


def test_the_container_that_failed_is_the_one_whose_log_tells() -> None:
    failed = {"terminated": {"exitCode": 1}}
    assert trouble_of(pod(failed)) == "container web ended with code 1"
    assert container_in_trouble(pod(failed)) == "web"
    assert container_in_trouble(pod({"running": {}})) == ""
    again = {"name": "migrations", "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": failed}
    assert container_in_trouble({"status": {"initContainerStatuses": [again]}}) == "migrations"
