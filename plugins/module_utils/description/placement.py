"""Refuses to begin anew, empty, on another host what has its data on an earlier one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Problem, listed
from ansible_collections.stalk.celery.plugins.module_utils.description.surroundings import Surroundings
from ansible_collections.stalk.celery.plugins.module_utils.memory import file_name, recall


def placement_problems(values: Mapping[str, Any], surroundings: Surroundings) -> Iterator[Problem]:
    components = {"redis": "broker"}
    if values["database"]["kind"] == "embedded":
        components["postgresql"] = "database"
    if not surroundings.state:
        return
    app = values["app"]["name"]
    memory = recall(surroundings.state, app)
    for group, part in components.items():
        held, named = memory.hosts.get(group, ()), surroundings.groups.get(group, ())
        if held and named and not set(named) <= set(held):
            yield Problem(
                (part,),
                f"its data is on {listed(sorted(held))} and the group {group} names {listed(sorted(named))}",
                f"move the data, then remove the line `{group}` from {surroundings.state / file_name(app)}, "
                "or give another inventory a stalk_state of its own",
            )
