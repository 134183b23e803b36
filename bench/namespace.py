"""A namespace of the cluster for each measurement, gone with it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import cluster as clusters
import images

from bench.server import BenchFailed
from tests.cluster.release import Release


@contextmanager
def namespace(name: str) -> Iterator[Release]:
    """A release that is not installed yet, on a cluster that has its images."""
    try:
        cluster = clusters.choose()
        cluster.up()
        cluster.load(*images.names())
        own = f"bench-{name}-{uuid.uuid4().hex[:6]}"
        cluster.kubectl("create", "namespace", own)
        try:
            yield Release(cluster, own)
        finally:
            cluster.kubectl("delete", "namespace", own, "--wait=false")
            # Nobody needs what they work on, and nobody makes new ones now.
            cluster.kubectl("delete", "pods", "--all", "--force", "--grace-period=0", "--namespace", own)
    except (clusters.ClusterFailed, AssertionError) as failure:
        raise BenchFailed(str(failure)) from failure
