"""The cluster of tools/cluster.py, and for each file of tests a namespace of it, and the stack in there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cluster as clusters
import pytest
from resources.cell import mark

from tests.cluster.desk import Desk
from tests.cluster.release import Release, new_namespace

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
    with new_namespace(cluster, Path(request.path).stem.removeprefix("test_").replace("_", "-")) as name:
        yield name


def new_release(cluster: clusters.Cluster, namespace: str) -> Release:
    release = Release(cluster, namespace)
    release.prepare()
    return release


@pytest.fixture(scope="session")
def standing_release(cluster: clusters.Cluster) -> Iterator[Release]:
    """The stack as installed from nothing, which many files share: a test leaves it serving."""
    with new_namespace(cluster, "standing") as name:
        release = new_release(cluster, name)
        release.install()
        yield release


@pytest.fixture(scope="module")
def empty_release(cluster: clusters.Cluster, namespace: str) -> Release:
    """One that is not installed yet, in a namespace that enforces Pod Security `restricted`."""
    return new_release(cluster, namespace)


@pytest.fixture(scope="module")
def release(empty_release: Release) -> Release:
    """The stack as installed from nothing."""
    empty_release.install()
    return empty_release


@pytest.fixture(autouse=True)
def cell(request: pytest.FixtureRequest) -> None:
    for name in ("release", "standing_release"):
        if name in request.fixturenames:
            mark(request, request.getfixturevalue(name).cell)


@pytest.fixture(scope="module")
def desk(release: Release) -> Iterator[Desk]:
    """From where a test sends tasks whatever happens to the release."""
    opened = Desk(release)
    opened.open()
    yield opened
    opened.close()
