"""The broker that a stack leaves for one of another kind, and what it still has. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.description.chart import chart_words
from ansible_collections.stalk.celery.plugins.module_utils.description.derive import broker_component
from ansible_collections.stalk.celery.plugins.module_utils.leftovers import PROCESSES
from ansible_collections.stalk.celery.plugins.module_utils.memory import Memory
from ansible_collections.stalk.celery.plugins.module_utils.stranded import (
    DEAD,
    messages,
    queue_of,
    untold,
    waits,
)

# Redis and Valkey are one component, and neither is sure to read what the other wrote: Valkey 8.1 stops at a file of
# Redis 7.4 or newer (valkey-io/valkey, rdb.h: RDB_VERSION).
PROVISIONED = [kind for kind in chart_words("rules")["broker"]["names"] if kind != "external"]

LEFT_OUT = "this run leaves its host out, by --limit or as it is in no group"


def component_of(kind: str) -> str:
    return broker_component({"broker": {"kind": kind}})


def other_brokers(memory: Memory, kind: str) -> dict[str, list[str]]:
    """Kind to the hosts that still have it, of those that the description has no more."""
    return {other: sorted(memory.hosts[other]) for other in PROVISIONED if other != kind and memory.hosts.get(other)}


def leaving_brokers(memory: Memory, kind: str) -> dict[str, dict[str, Any]]:
    """The same by component, which runs beside the new one until it has nothing any more."""
    found = {
        component_of(other): {"kind": other, "hosts": hosts} for other, hosts in other_brokers(memory, kind).items()
    }
    return {component: left for component, left in found.items() if component != component_of(kind)}


def left_question(component: str, kind: str) -> dict[str, Any]:
    """What the module component_status is to ask it; the port is the one that it is configured with."""
    return {"component": component, "kind": kind, "port": 0, "queues": []}


def told_by_all(
    component: str, hosts: Sequence[str], told: Mapping[str, Mapping[str, Mapping[str, Any]]]
) -> Mapping[str, Any]:
    """The figures of a broker by what its hosts told, each by component: a replica may lack what the primary has, and a
    host where it is gone says nothing of the others."""
    found = {host: told.get(host, {}).get(component, {"error": LEFT_OUT}) for host in hosts}
    if all("gone" in figures for figures in found.values()):
        return {"gone": True, "queues": {}, "taken": 0}
    knowing = {
        host: figures
        for host, figures in found.items()
        if not {"gone", "error"} & figures.keys() and figures.get("role") != "replica"
    }
    if component == "redis" and len(knowing) > 1:
        return {"error": f"{', '.join(knowing)} are each a primary"}
    if not knowing:
        errors = [figures["error"] for figures in found.values() if "error" in figures]
        return {"error": "; ".join(dict.fromkeys(errors)) or "none of its hosts is the primary"}
    # Nodes of one cluster tell the same; one that is in none may be empty.
    return max(knowing.values(), key=content)


def content(figures: Mapping[str, Any]) -> int:
    """How many messages a broker has, wherever."""
    counts: tuple[int, ...] = (*figures["queues"].values(), *figures.get("dead", {}).values())
    return sum(counts) + int(figures.get("taken", 0)) + int(figures.get("delayed", 0))


def lists_of(figures: Mapping[str, Any]) -> list[str]:
    """All that messages may wait in: queues, in Redis a list for each priority, and queues of dead letters."""
    return sorted({*figures.get("queues", {}), *(f"{DEAD}{pool}" for pool in figures.get("dead", {}))})


def waiting(figures: Mapping[str, Any], abandoned: Collection[str]) -> Counter[str]:
    """By queue; those of dead letters have names too."""
    found: Counter[str] = Counter()
    for name, length in figures["queues"].items():
        found[queue_of(name)] += length
    found.update({f"{DEAD}{pool}": length for pool, length in figures.get("dead", {}).items()})
    return Counter({queue: count for queue, count in found.items() if count and queue not in abandoned})


def still_has(
    figures: Mapping[str, Any], memory: Memory, abandoned: Collection[str], kept: int = 0
) -> tuple[list[str], set[str]]:
    """What speaks against the broker's end, and the queues that it is about. `kept` messages are known to be for
    abandoned queues; of others in a worker's hand, or delayed, the broker does not tell which they are for."""
    all_abandoned = memory.queues <= set(abandoned)
    if "error" in figures:
        return ([], set()) if all_abandoned else ([untold(figures["error"])], memory.queues - set(abandoned))
    found = waiting(figures, abandoned)
    said = [f"{said_of(queue)}: {waits(count)}" for queue, count in sorted(found.items())]
    taken, delayed = int(figures.get("taken", 0)), int(figures.get("delayed", 0))
    if all_abandoned or taken + delayed <= kept:
        return said, set(found)
    said += [f"workers hold {messages(taken)}"] if taken else []
    said += [f"{waits(delayed)} for later"] if delayed else []
    return said, {*found, *(memory.queues - set(abandoned))}


def parting_problem(stack: Mapping[str, Any], host: str, running: Collection[str], described: Collection[str]) -> str:
    """Units of the app that run on a host without being described there, which have the old broker's address until they
    end, after all others."""
    app, left = stack["app"]["name"], stack["broker"]["leaving"].values()
    parting = [
        component
        for component in PROCESSES
        if component not in described and any(re.match(rf"{app}-{component}[.@]", unit) for unit in running)
    ]
    others = ", ".join(sorted(each["kind"] for each in left))
    return (
        f"broker.kind: is {stack['broker']['kind']}, and {', '.join(parting)} on {host} would use the {others} until "
        "the end of the run that takes it away; describe it there until the broker has changed"
        if parting
        else ""
    )


def port_problem(stack: Mapping[str, Any], other: str, figures: Mapping[str, Any], hosts: Collection[str]) -> str:
    """Why the new broker could not start on one of these hosts, where both are."""
    port = stack["broker"]["port"]
    if not hosts or figures.get("listens") != port:
        return ""
    return (
        f"broker.port: {port} is the one of the {other} that still runs on {', '.join(sorted(hosts))}; "
        "write another until that has left"
    )


def said_of(queue: str) -> str:
    return f"dead letters of pool {queue.removeprefix(DEAD)}" if queue.startswith(DEAD) else f"queue {queue}"


def leaving_problem(
    kind: str, other: str, hosts: Sequence[str], said: Sequence[str], queues: Collection[str], *, asked: bool
) -> str:
    """One line, for `site`; where the broker was not `asked`, nothing can be moved yet."""
    remedy = "run playbooks/switch_broker.yml, which moves them" if asked else "bring it back and run again"
    return (
        f"broker.kind: is {kind}, and the {other} on {', '.join(hosts)} has this stack's messages "
        f"({'; '.join(said)}); {remedy}, or leave them there with -e stalk_abandon={','.join(sorted(queues))}"
    )
