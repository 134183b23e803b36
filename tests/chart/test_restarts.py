"""What a running broker takes does not restart it; everything else does."""

from __future__ import annotations

import pytest

from tests.chart.renders import RELEASE, Object, objects
from tests.helm import CHART, helm

LIVE = {
    "redis": ("broker.maxmemory=1gb", "broker.appendfsync=always", "flower.enabled=false"),
    "rabbitmq": (
        "broker.maxmemory=1gb",
        "broker.disk_free_limit=1500mb",
        "broker.consumer_timeout=9000",
        "broker.delivery_limit=5",
        "flower.enabled=false",
        "pools.more.queues={more},app.queues={more}",
    ),
}
AT_ITS_START = {
    "redis": ("broker.port=6390",),
    "rabbitmq": (
        "broker.port=5999",
        "broker.management_port=16000",
        "broker.login=certificate",
        "broker.metrics.enabled=true",
    ),
}


def pod(kind: str, *changes: str) -> Object:
    given = (f"--set={change}" for change in (f"broker.kind={kind}", *changes))
    rendered = helm("template", RELEASE, CHART, *given)
    assert not rendered.returncode, rendered.stderr
    sets = {made["metadata"]["name"]: made for made in objects(rendered.stdout) if made["kind"] == "StatefulSet"}
    found: Object = sets[f"shop-{kind}"]["spec"]["template"]
    return found


@pytest.mark.parametrize(("kind", "change"), [(kind, change) for kind in LIVE for change in LIVE[kind]])
def test_a_running_broker_takes_it(kind: str, change: str) -> None:
    assert pod(kind, change) == pod(kind)


@pytest.mark.parametrize(("kind", "change"), [(kind, change) for kind in AT_ITS_START for change in AT_ITS_START[kind]])
def test_it_restarts_the_broker(kind: str, change: str) -> None:
    digest = "checksum/config"
    annotations = [made["metadata"]["annotations"][digest] for made in (pod(kind, change), pod(kind))]
    assert annotations[0] != annotations[1]
