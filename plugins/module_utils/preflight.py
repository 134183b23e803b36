"""What a run would end or leave behind, judged before it changes anything. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.description.inventory import Port
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import listed
from ansible_collections.stalk.celery.plugins.module_utils.memory import Memory
from ansible_collections.stalk.celery.plugins.module_utils.stranded import (
    holds,
    may_be_for_it,
    parting,
    queue_of,
    stranding,
    untold,
    waits,
)

# Components that take over a service of the distribution.
TAKEN_OVER = ("redis", "rabbitmq", "postgresql", "web")
# The first Debian that has a kind of broker, and the first whose broker can be one of several nodes.
DEBIAN_WITH = {"valkey": 13}
DEBIAN_WITH_CLUSTER = {"rabbitmq": 13}


def described_queues(stack: Mapping[str, Any]) -> set[str]:
    return {queue for pool in stack["pools"].values() for queue in pool["queues"]}


def departing_queues(memory: Memory, stack: Mapping[str, Any]) -> set[str]:
    """Queues that pools took messages from and none would any more."""
    return memory.queues - described_queues(stack)


def departing_pools(memory: Memory, stack: Mapping[str, Any]) -> dict[str, list[str]]:
    """Those queues, by pool."""
    queues = departing_queues(memory, stack)
    found = {pool: sorted(queues & set(own)) for pool, own in memory.pools.items()}
    return {pool: own for pool, own in found.items() if own}


def names(given: Any) -> list[str]:
    """`data1,data2` of the command line, or a list."""
    return (
        [name.strip() for name in given.split(",")] if isinstance(given, str) else [str(name) for name in given or []]
    )


def package_problems(
    host: str, stack: Mapping[str, Any], components: Collection[str], facts: Mapping[str, Any]
) -> Iterator[str]:
    """A broker that the host's Debian does not have."""
    broker, debian = stack["broker"], str(facts.get("distribution_major_version", ""))
    since = DEBIAN_WITH.get(broker["kind"], 0)
    if broker["component"] in components and debian.isdecimal() and int(debian) < since:
        yield (
            f"broker.kind: is {broker['kind']}, and {host} has Debian {debian}, which has none; name a host with "
            f"Debian {since} or newer in the group {broker['component']}, or set it to {broker['component']}"
        )
    since = DEBIAN_WITH_CLUSTER.get(broker["kind"], 0) if broker["topology"] == "cluster" else 0
    if broker["component"] in components and debian.isdecimal() and int(debian) < since:
        yield (
            f"broker.topology: is cluster, and {host} has Debian {debian}, whose {broker['kind']} takes no lost member "
            f"of a queue back by itself; name hosts with Debian {since} or newer in the group {broker['component']}"
        )


def foreign_problems(host: str, found: Mapping[str, str], allowed: Collection[str]) -> Iterator[str]:
    """Services that others rely on and a role would end or reconfigure."""
    if host in allowed:
        return
    for component, what in found.items():
        yield (
            f"{component} on {host}: {what}, and Stalk would take it over; drain and stop it, name another host in the "
            f"group {component}, or go on with -e stalk_take_over={host}"
        )


def listener_problems(
    host: str, app: str, ports: Collection[Port], listeners: Mapping[str, Collection[str]]
) -> Iterator[str]:
    """Ports on which a new component could not listen. An own broker or Flower there is about to leave, or to move."""
    own = {f"{app}-{component}.service" for component in ("redis", "sentinel", "rabbitmq", "flower")}
    for port in ports:
        others = [unit for unit in listeners.get(str(port.number), ()) if unit not in own]
        if others:
            elsewhere = ", or set another port" if port.path else ""
            yield (
                f"{port.what}: {listed(others)} on {host} already listens on {port.number}; stop and disable it "
                f"there{elsewhere}"
            )


def data_problems(
    host: str,
    stack: Mapping[str, Any],
    groups: Mapping[str, Collection[str]],
    held: Collection[str],
    run: Collection[str],
) -> Iterator[str]:
    """Nodes that would begin without any of those that have the data: their first primary would be empty, and what
    comes later would copy that."""
    component, topology = stack["broker"]["component"], stack["broker"]["topology"]
    nodes = set(groups.get(component, ()))
    with_data = set(held) & nodes
    if topology != "single" and host in nodes and with_data and not with_data & set(run):
        yield (
            f"broker.topology: is {topology}, and this run leaves out {listed(sorted(with_data))}, where the data is; "
            "name it in --limit too"
        )


def node_problems(host: str, app: str, found: Collection[str], node: str) -> Iterator[str]:
    """Data of a node of another name, beside which this one would begin empty."""
    for other in found:
        if other != node:
            what = "a single node" if other == f"{app}@localhost" else f"the node {other}, not of {node}"
            yield (
                f"broker.topology: is cluster, and {host} has the data of {what}; stop what sends, let its queues "
                f"drain, then stop {app}-rabbitmq on {host} and remove /var/lib/{app}-rabbitmq/data"
            )


def management_port_problems(found: Collection[str], node: str, deployed: int | None, described: int) -> Iterator[str]:
    """What is deployed counts where the node has data: others take one without to a cluster by the described port."""
    if node in found and deployed not in (None, described):
        yield parting(deployed, described)


def queue_problems(
    broker: Mapping[str, Any], memory: Memory, stack: Mapping[str, Any], abandoned: Collection[str]
) -> Iterator[str]:
    """Messages that nobody would take. Who remembers no pools asks for every queue that the description lacks."""
    departing = departing_queues(memory, stack) - set(abandoned)
    if "error" in broker:
        for queue in sorted(departing):
            yield stranding(queue, untold(broker["error"]), way_out(queue))
        return
    waiting: Counter[str] = Counter()
    for name, length in broker["queues"].items():
        waiting[queue_of(name)] += length
    suspects = departing if memory.pools else set(waiting) - described_queues(stack) - set(abandoned)
    for queue in sorted(suspects):
        if count := waiting[queue]:
            yield stranding(queue, waits(count), way_out(queue))
        elif delayed := broker.get("delayed"):
            yield stranding(queue, may_be_for_it(delayed), way_out(queue))


def held_problems(
    host: str, reserved: Mapping[str, int], departing: Mapping[str, list[str]], abandoned: Collection[str]
) -> Iterator[str]:
    """Messages that a worker took ahead of their time and would give back to a queue that nobody consumes."""
    for pool, count in reserved.items():
        queues = [queue for queue in departing[pool] if queue not in abandoned]
        if count and queues:
            yield stranding(queues[0], holds(f"pool {pool} on {host}", count), way_out(queues[0]))


def way_out(queue: str) -> str:
    return f"-e stalk_abandon={queue}"
