"""The cluster of tools/cluster.py, and a namespace of it for each file of tests."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import cluster as clusters
import pytest

BOX = "stalk-server:bookworm"


@pytest.fixture(scope="session")
def cluster() -> clusters.Cluster:
    chosen = clusters.choose()
    chosen.up()
    return chosen


@pytest.fixture(scope="session")
def box(cluster: clusters.Cluster) -> str:
    """An image that has a shell and Python."""
    cluster.load(BOX)
    return BOX


@pytest.fixture(scope="module")
def namespace(cluster: clusters.Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"{Path(request.path).stem.removeprefix('test_').replace('_', '-')}-{uuid.uuid4().hex[:6]}"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")
