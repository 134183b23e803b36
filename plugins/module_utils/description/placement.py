"""Refuses to begin anew, empty, on another host what has its data on an earlier one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path as File
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.description.derive import broker_component
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Problem, listed
from ansible_collections.stalk.celery.plugins.module_utils.description.surroundings import Surroundings
from ansible_collections.stalk.celery.plugins.module_utils.memory import Memory, file_name, recall
from ansible_collections.stalk.celery.plugins.module_utils.status.questions import BROKERS


def placement_problems(values: Mapping[str, Any], surroundings: Surroundings) -> Iterator[Problem]:
    components = {broker_component(values): "broker"}
    if values["database"]["kind"] == "embedded":
        components["postgresql"] = "database"
    if not surroundings.state:
        return
    app = values["app"]["name"]
    memory = recall(surroundings.state, app)
    yield from other_broker_problems(values, memory, surroundings.state / file_name(app))
    for group, part in components.items():
        held, named = memory.hosts.get(group, ()), surroundings.groups.get(group, ())
        if held and named and not stays(group, values, set(held), set(named)):
            yield Problem(
                (part,),
                f"its data is on {listed(sorted(held))} and the group {group} names {listed(sorted(named))}",
                f"move the data, then remove the line `{group}` from {surroundings.state / file_name(app)}, "
                "or give another inventory a stalk_state of its own",
            )


def stays(group: str, values: Mapping[str, Any], held: set[str], named: set[str]) -> bool:
    """Whether the hosts that are named have the data; of a cluster more than half of those that had it suffice."""
    if group == "rabbitmq" and values["broker"]["topology"] == "cluster":
        return 2 * len(held & named) > len(held)
    return held == named


def other_broker_problems(values: Mapping[str, Any], memory: Memory, file: File) -> Iterator[Problem]:
    """A broker of another kind has this stack's messages, and nothing moves them."""
    kind = values["broker"]["kind"]
    for other in BROKERS:
        if other != kind and (hosts := memory.hosts.get(other)):
            yield Problem(
                ("broker", "kind"),
                f"is {kind}, and the {other} on {listed(sorted(hosts))} has this stack's messages",
                f"stop what sends, let its queues drain, then remove the line `{other}` from {file}",
            )
