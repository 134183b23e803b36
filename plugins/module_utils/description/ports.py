"""Refuses a port of the broker that another one of its own has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.description.chart import chart_words
from ansible_collections.stalk.celery.plugins.module_utils.description.derive import broker_component, broker_port
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Path, Problem
from ansible_collections.stalk.celery.plugins.module_utils.description.sayings import refusal

PortOfRabbitmq = tuple[Path, str, int]
"""Where it is stated, what it is, and its number."""


def port_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    management, metrics = management_ports(values), metrics_ports(values)
    yield from taken_by(("broker", "port"), broker_port(values), management + metrics)
    for path, _, port in metrics:
        yield from taken_by(path, port, management)
    if values["broker"]["topology"] == "sentinel" and broker_port(values) == values["broker"]["sentinel_port"]:
        yield refusal("port_of_sentinel", ("broker", "sentinel_port"), port=broker_port(values))


def taken_by(path: Path, port: int, others: list[PortOfRabbitmq]) -> Iterator[Problem]:
    for _, what, taken in others:
        if port == taken:
            yield refusal("port_of_rabbitmq", path, port=port, what=what)


def management_ports(values: Mapping[str, Any]) -> list[PortOfRabbitmq]:
    if broker_component(values) != "rabbitmq":
        return []
    path, port = ("broker", "management_port"), values["broker"]["management_port"]
    return [(path, each["what"], port + each["above"]) for each in chart_words("rules")["broker"]["management_ports"]]


def metrics_ports(values: Mapping[str, Any]) -> list[PortOfRabbitmq]:
    metrics = values["broker"]["metrics"]
    is_on = broker_component(values) == "rabbitmq" and metrics["enabled"]
    return [(("broker", "metrics", "port"), "broker.metrics.port", metrics["port"])] if is_on else []
