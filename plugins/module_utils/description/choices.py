"""Refuses what is named for another choice than the one made, and choices that do not go together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.description.chart import chart_words
from ansible_collections.stalk.celery.plugins.module_utils.description.derive import broker_protocol
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Problem
from ansible_collections.stalk.celery.plugins.module_utils.description.sayings import refusal

RULES: list[dict[str, Any]] = chart_words("rules")["choices"]


def choice_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    for rule in RULES:
        made = value_at(values, rule["of"])
        if made != rule["choice"] and value_at(values, rule["named"]) not in ("", rule.get("usual")):
            facts = {"choice": shown(made), "named": rule["named"], "what": rule["what"]}
            yield refusal("named_in_vain", tuple(rule["of"].split(".")), **facts, other=shown(rule["choice"]))
    if broker_protocol(values) == "rabbitmq" and values["results"]["kind"] == "redis":
        yield refusal("results_without_redis", ("results", "kind"))
    yield from topology_problems(values["broker"])


def shown(choice: object) -> str:
    """As YAML has it."""
    return str(choice).lower() if isinstance(choice, bool) else str(choice)


def topology_problems(broker: Mapping[str, Any]) -> Iterator[Problem]:
    kind, topology = broker["kind"], broker["topology"]
    offered: list[str] = chart_words("rules")["broker"]["topologies"][kind]
    if topology not in offered:
        facts = {"topology": topology, "kind": kind, "offered": ", ".join(offered)}
        yield refusal("topology_of_another_kind", ("broker", "topology"), **facts)


def value_at(values: Mapping[str, Any], path: str) -> Any:
    return reduce(lambda part, key: part[key], path.split("."), values)
