"""Refuses to begin anew, empty, on another host what has its data on an earlier one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.broker_url import BrokerRefused, read_broker_url
from ansible_collections.stalk.celery.plugins.module_utils.description.derive import broker_component
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Problem, listed
from ansible_collections.stalk.celery.plugins.module_utils.description.surroundings import Surroundings
from ansible_collections.stalk.celery.plugins.module_utils.leaving_broker import component_of, other_brokers
from ansible_collections.stalk.celery.plugins.module_utils.memory import EXTERNAL, Memory, file_name, recall


def placement_problems(values: Mapping[str, Any], surroundings: Surroundings) -> Iterator[Problem]:
    # Group of the inventory, what the memory calls it, and where the description speaks of it.
    components = [(broker_component(values), str(values["broker"]["kind"]), "broker")]
    if values["database"]["kind"] == "embedded":
        components.append(("postgresql", "postgresql", "database"))
    if not surroundings.state:
        return
    app = values["app"]["name"]
    memory = recall(surroundings.state, app)
    file = f"{surroundings.state}/{file_name(app)}"
    yield from external_problems(values, memory, surroundings.secrets, file)
    if values["broker"]["kind"] != EXTERNAL:
        yield from other_broker_problems(values, memory, surroundings)
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


def other_broker_problems(values: Mapping[str, Any], memory: Memory, surroundings: Surroundings) -> Iterator[Problem]:
    """A broker of another kind may have messages. Nothing moves them where the new one is to take its very place, or
    where the inventory has its hosts no more."""
    kind = values["broker"]["kind"]
    hosts_of_all = {host for hosts in surroundings.groups.values() for host in hosts}
    for other, hosts in other_brokers(memory, kind).items():
        if component_of(other) == broker_component(values):
            yield Problem(
                ("broker", "kind"),
                f"is {kind}, and the {other} on {listed(sorted(hosts))} has this stack's messages",
                f"stop what sends, let its queues drain, then remove the line `{other}` from "
                f"{surroundings.state}/{file_name(str(values['app']['name']))}",
            )
        elif gone := sorted(set(hosts) - hosts_of_all):
            yield Problem(
                ("broker", "kind"),
                f"is {kind}, and the inventory lacks {listed(gone)}, whose {other} may have this stack's messages",
                "put it back until they are moved",
            )


def external_problems(
    values: Mapping[str, Any], memory: Memory, secrets: Mapping[str, str], file: str
) -> Iterator[Problem]:
    """A broker of somebody else is not left, nor begun beside another one, while messages may be in the first: nothing
    moves them."""
    kind = values["broker"]["kind"]
    way_out = "stop what sends, let its queues drain, then remove the line `{}` from {}"
    for held in memory.hosts.get(EXTERNAL, ()) if kind != EXTERNAL else ():
        reason = f"is {kind}, and the external broker at {held} has this stack's messages"
        yield Problem(("broker", "kind"), reason, way_out.format(EXTERNAL, file))
    if kind != EXTERNAL:
        return
    for other, hosts in other_brokers(memory, kind).items():
        reason = f"is {kind}, and the {other} on {listed(sorted(hosts))} has this stack's messages"
        yield Problem(("broker", "kind"), reason, way_out.format(other, file))
    try:
        where = read_broker_url(
            "CELERY_BROKER_URL", secrets.get("CELERY_BROKER_URL", ""), values["broker"]["external"]
        ).where
    except BrokerRefused:
        # It has its line already.
        return
    for held in memory.hosts.get(EXTERNAL, ()):
        if held != where:
            reason = (
                f"is external, and the secret CELERY_BROKER_URL names {where} where {held} has this stack's messages"
            )
            yield Problem(("broker", "kind"), reason, way_out.format(EXTERNAL, file))
