"""The API server takes every object of every case as it is, where Pod Security `restricted` is enforced."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from chart_release import RESTRICTED
from cluster import Cluster, ClusterFailed

from tests.chart.renders import CASES, render

DEFINITIONS = Path(__file__).resolve().parents[2] / ".cache" / "definitions"
DRY_RUN = ("apply", "--dry-run=server", "--warnings-as-errors", "--filename=-")


@pytest.fixture(scope="module")
def restricted(cluster: Cluster, namespace: str) -> str:
    """A namespace that refuses a pod that is not restricted, and warns of a Deployment that would make one."""
    cluster.kubectl("label", "namespace", namespace, RESTRICTED, RESTRICTED.replace("enforce", "warn"))
    return namespace


@pytest.fixture(scope="module", autouse=True)
def _definitions(cluster: Cluster) -> Iterator[None]:
    """Those of kinds that the chart can use and the cluster does not have."""
    known = cluster.kubectl("get", "crds", "--output=jsonpath={.items[*].metadata.name}").split()
    documents = [
        document
        for file in sorted(DEFINITIONS.glob("*/*.yaml"))
        for document in yaml.load_all(file.read_text(), Loader=yaml.CSafeLoader)
        if document and document["kind"] == "CustomResourceDefinition"
    ]
    missing = [document for document in documents if document["metadata"]["name"] not in known]
    manifests = yaml.safe_dump_all(missing)
    if missing:
        cluster.kubectl("apply", "--server-side", "--filename=-", stdin=manifests)
        cluster.kubectl("wait", "--for=condition=Established", "--filename=-", stdin=manifests)
    yield
    if missing:
        cluster.kubectl("delete", "--filename=-", stdin=manifests)


@pytest.mark.parametrize("case", CASES)
def test_every_object_is_taken_without_a_warning(cluster: Cluster, restricted: str, case: str) -> None:
    cluster.kubectl(*DRY_RUN, stdin=render(case, restricted))


def test_a_pod_that_is_not_restricted_would_be_warned_of(cluster: Cluster, restricted: str) -> None:
    wrong = render("01-defaults", restricted).replace("runAsNonRoot: true", "runAsNonRoot: false")
    with pytest.raises(ClusterFailed, match="would violate PodSecurity"):
        cluster.kubectl(*DRY_RUN, stdin=wrong)
