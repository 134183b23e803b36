"""What tests ask RabbitMQ, by its command line in one of its pods."""

from __future__ import annotations

from tests.cluster.release import Release


def rabbitmqctl(release: Release, *arguments: str, pod: str = "shop-rabbitmq-0") -> str:
    path = "PATH=/usr/lib/rabbitmq/bin:/opt/rabbitmq/sbin:$PATH"
    return release.execute(pod, "sh", "-c", f'{path} rabbitmqctl --quiet "$@"', "sh", *arguments)


def listed(release: Release, *arguments: str, pod: str = "shop-rabbitmq-0") -> list[list[str]]:
    said = rabbitmqctl(release, *arguments, "--no-table-headers", pod=pod)
    return [line.split("\t") for line in said.splitlines()]
