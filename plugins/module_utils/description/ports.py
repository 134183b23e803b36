"""Refuses a port of the broker that another one of its own has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.description.chart import chart_words
from ansible_collections.stalk.celery.plugins.module_utils.description.derive import broker_component, broker_port
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Problem
from ansible_collections.stalk.celery.plugins.module_utils.description.sayings import refusal


def port_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    port = broker_port(values)
    for what, taken in management_ports(values):
        if port == taken:
            yield refusal("port_of_rabbitmq", ("broker", "port"), port=port, what=what)
    if values["broker"]["topology"] == "sentinel" and port == values["broker"]["sentinel_port"]:
        yield refusal("port_of_sentinel", ("broker", "sentinel_port"), port=port)


def management_ports(values: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """What it is, and its number."""
    if broker_component(values) == "rabbitmq":
        for each in chart_words("rules")["broker"]["management_ports"]:
            yield each["what"], values["broker"]["management_port"] + each["above"]
