"""Which Kubernetes tests use, and when it counts as ready."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cluster
import pytest


@pytest.fixture(autouse=True)
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of PATH; no KUBECONFIG is given."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    return tmp_path


def install(folder: Path, name: str, status: int) -> None:
    script = folder / name
    script.write_text(f"#!/bin/sh\nexit {status}\n")
    script.chmod(0o755)


def test_a_given_kubeconfig_comes_first(commands: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(commands, "kind", 0)
    install(commands, "docker", 0)
    monkeypatch.setenv("KUBECONFIG", "/home/me/.kube/config")
    chosen = cluster.choose()
    assert isinstance(chosen, cluster.GivenCluster)
    assert chosen.kubeconfig == Path("/home/me/.kube/config")


def test_the_kubeconfig_that_make_cluster_wrote_is_not_a_given_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster.OWN_KUBECONFIG))
    assert isinstance(cluster.choose(), cluster.ContainerCluster)


def test_kind_comes_next_when_it_can_pull_its_image(commands: Path) -> None:
    install(commands, "kind", 0)
    install(commands, "docker", 0)
    assert isinstance(cluster.choose(), cluster.KindCluster)


def test_a_container_is_the_last_resort_without_kind(commands: Path) -> None:
    install(commands, "docker", 0)
    assert isinstance(cluster.choose(), cluster.ContainerCluster)


def test_a_container_is_the_last_resort_when_kind_cannot_pull_its_image(commands: Path) -> None:
    install(commands, "kind", 0)
    install(commands, "docker", 1)
    assert isinstance(cluster.choose(), cluster.ContainerCluster)


def test_kind_gets_the_keda_that_the_container_has() -> None:
    assert cluster.keda_version().startswith("2.")


def test_an_empty_path_means_no_kind_and_no_docker() -> None:
    assert isinstance(cluster.choose(), cluster.ContainerCluster)


def item(kind: str, name: str, condition: str, status: str = "True") -> dict[str, Any]:
    conditions = [{"type": condition, "status": status}]
    return {"kind": kind, "metadata": {"name": name}, "status": {"conditions": conditions}}


WHOLE = [item("Node", "one", "Ready"), *(item("Deployment", name, "Available") for name in cluster.ADDED)]


def test_a_whole_cluster_misses_nothing() -> None:
    assert cluster.not_ready(WHOLE) == []


def test_a_cluster_without_a_node_waits_for_one() -> None:
    assert cluster.not_ready(WHOLE[1:]) == ["a node"]


def test_what_is_not_applied_yet_is_missing() -> None:
    assert cluster.not_ready(WHOLE[:-1]) == [cluster.ADDED[-1]]


@pytest.mark.parametrize(
    "late", [item("Node", "two", "Ready", "False"), item("APIService", "two", "Available", "False")]
)
def test_what_is_not_ready_yet_is_missing(late: dict[str, Any]) -> None:
    assert cluster.not_ready([*WHOLE, late]) == ["two"]


def test_what_has_no_status_yet_is_missing() -> None:
    assert cluster.not_ready([*WHOLE, {"kind": "Deployment", "metadata": {"name": "new"}}]) == ["new"]


def test_a_stack_that_is_not_ready_is_none_of_the_clusters_parts() -> None:
    late = item("Deployment", "shop-web", "Available", "False")
    late["metadata"]["namespace"] = "shop"
    assert cluster.not_ready([*WHOLE, late]) == []
