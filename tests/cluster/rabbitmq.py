"""What tests ask RabbitMQ, by its command line in one of its pods."""

from __future__ import annotations

import json

from tests.cluster.release import Release


def rabbitmqctl(release: Release, *arguments: str, pod: str = "shop-rabbitmq-0") -> str:
    path = "PATH=/usr/lib/rabbitmq/bin:/opt/rabbitmq/sbin:$PATH"
    return release.execute(pod, "sh", "-c", f'{path} rabbitmqctl --quiet "$@"', "sh", *arguments)


def listed(release: Release, *arguments: str, pod: str = "shop-rabbitmq-0") -> list[list[str]]:
    said = rabbitmqctl(release, *arguments, "--no-table-headers", pod=pod)
    return [line.split("\t") for line in said.splitlines()]


def scale_down_soon(release: Release) -> None:
    """A short lull is long enough for the tests."""
    behavior = {
        "scaleDown": {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 1, "periodSeconds": 1}]}
    }
    change = json.dumps({"spec": {"advanced": {"horizontalPodAutoscalerConfig": {"behavior": behavior}}}})
    release.kubectl("patch", "scaledobject", "shop-worker-default", "--type=merge", f"--patch={change}")
