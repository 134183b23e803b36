"""Refuses to begin anew, empty, on another host what has its data on an earlier one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path as File
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.description.chart import chart_words
from ansible_collections.stalk.celery.plugins.module_utils.description.derive import broker_component
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Problem, listed
from ansible_collections.stalk.celery.plugins.module_utils.description.surroundings import Surroundings
from ansible_collections.stalk.celery.plugins.module_utils.memory import Memory, file_name, recall

# Redis and Valkey are one component, and neither is sure to read what the other wrote: Valkey 8.1 stops at a file of
# Redis 7.4 or newer (valkey-io/valkey, rdb.h: RDB_VERSION).
PROVISIONED = [kind for kind in chart_words("rules")["broker"]["names"] if kind != "external"]


def placement_problems(values: Mapping[str, Any], surroundings: Surroundings) -> Iterator[Problem]:
    # Group of the inventory, what the memory calls it, and where the description speaks of it.
    components = [(broker_component(values), str(values["broker"]["kind"]), "broker")]
    if values["database"]["kind"] == "embedded":
        components.append(("postgresql", "postgresql", "database"))
    if not surroundings.state:
        return
    app = values["app"]["name"]
    memory = recall(surroundings.state, app)
    yield from other_broker_problems(values, memory, surroundings.state / file_name(app))
    for group, line, part in components:
        held, named = memory.hosts.get(line, ()), surroundings.groups.get(group, ())
        if held and named and not stays(part, values, set(held), set(named)):
            yield Problem(
                (part,),
                f"its data is on {listed(sorted(held))} and the group {group} names {listed(sorted(named))}",
                f"move the data, then remove the line `{line}` from {surroundings.state / file_name(app)}, "
                "or give another inventory a stalk_state of its own",
            )


def stays(part: str, values: Mapping[str, Any], held: set[str], named: set[str]) -> bool:
    """Whether the hosts that are named have the data. Nodes come and go while more than half of those that have them
    stay; a single one that becomes one of many is all of them."""
    if part == "broker" and values["broker"]["topology"] != "single":
        return 2 * len(held & named) > len(held)
    return named == held


def other_broker_problems(values: Mapping[str, Any], memory: Memory, file: File) -> Iterator[Problem]:
    """A broker of another kind has this stack's messages, and nothing moves them."""
    kind = values["broker"]["kind"]
    for other in PROVISIONED:
        if other != kind and (hosts := memory.hosts.get(other)):
            yield Problem(
                ("broker", "kind"),
                f"is {kind}, and the {other} on {listed(sorted(hosts))} has this stack's messages",
                f"stop what sends, let its queues drain, then remove the line `{other}` from {file}",
            )
