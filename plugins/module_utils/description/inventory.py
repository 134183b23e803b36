"""Refuses an inventory on which the description cannot run as it says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any, NamedTuple

from ansible_collections.stalk.celery.plugins.module_utils.description.chart import chart_words
from ansible_collections.stalk.celery.plugins.module_utils.description.derive import broker_component, broker_port
from ansible_collections.stalk.celery.plugins.module_utils.description.near import near
from ansible_collections.stalk.celery.plugins.module_utils.description.ports import management_ports, metrics_ports
from ansible_collections.stalk.celery.plugins.module_utils.description.problems import Path, Problem, listed, quoted
from ansible_collections.stalk.celery.plugins.module_utils.description.surroundings import Surroundings

LEASED_SCHEDULERS = ("celery_ops.beat:LeasedScheduler", "celery_ops.beat.LeasedScheduler")
POSTGRESQL_PORT = 5432
SHOWN_HOSTS = 3
LEAST_NODES = 3


def inventory_problems(values: Mapping[str, Any], surroundings: Surroundings) -> Iterator[Problem]:
    yield from component_problems(values, surroundings)
    yield from node_problems(values, surroundings)
    yield from beat_problems(values, surroundings)
    yield from pool_problems(values, surroundings)
    yield from port_problems(values, surroundings)


def components(values: Mapping[str, Any]) -> Iterator[tuple[str, Path, str, int | None]]:
    """Group, path that asks for it, how to do without, and how many hosts it may have at most."""
    if values["broker"]["kind"] != "external":
        most = 1 if values["broker"]["topology"] == "single" else None
        yield broker_component(values), ("broker", "topology"), "", most
    if values["database"]["kind"] == "embedded":
        yield "postgresql", ("database", "kind"), "set it to external", 1
    yield "worker", ("pools",), "", None
    for name, most in (("web", None), ("beat", None), ("flower", 1)):
        if values[name]["enabled"]:
            yield name, (name, "enabled"), "set it to false", most


def component_problems(values: Mapping[str, Any], surroundings: Surroundings) -> Iterator[Problem]:
    for group, path, way_out, most in components(values):
        hosts = surroundings.groups.get(group, ())
        if not hosts:
            yield Problem(
                path,
                f"the inventory has no host in the group {group}",
                f"add one, or {way_out}" if way_out else "add one",
            )
        elif most and len(hosts) > most:
            yield Problem(
                path,
                f"the group {group} has {len(hosts)} hosts ({some(hosts)}), and only one can hold its data",
                f"keep one host in the group {group} of the inventory",
            )


def node_problems(values: Mapping[str, Any], surroundings: Surroundings) -> Iterator[Problem]:
    """More than half of the nodes have to be there, so an even number bears no more losses than one less."""
    group, kind, topology = broker_component(values), values["broker"]["kind"], values["broker"]["topology"]
    if topology not in chart_words("rules")["broker"]["topologies"][kind]:
        return
    count = len(hosts := surroundings.groups.get(group, ()))
    if topology != "single" and hosts and (count < LEAST_NODES or count % 2 == 0):
        yield Problem(
            ("broker", "topology"),
            f"is {topology}, and the group {group} has {count} host{'' if count == 1 else 's'} ({some(hosts)})",
            f"name an odd number of hosts in it, {LEAST_NODES} or more",
        )


def some(hosts: Any) -> str:
    names = sorted(hosts)
    return ", ".join(names[:SHOWN_HOSTS]) + (", …" if len(names) > SHOWN_HOSTS else "")


def beat_problems(values: Mapping[str, Any], surroundings: Surroundings) -> Iterator[Problem]:
    beat, hosts = values["beat"], surroundings.groups.get("beat", ())
    if not beat["enabled"] or len(hosts) < 2:
        return
    reason = f"and the group beat has {len(hosts)} hosts ({some(hosts)}), each of them would send every periodic task"
    if beat["scheduler"] not in LEASED_SCHEDULERS:
        yield Problem(
            ("beat", "scheduler"),
            f"{beat['scheduler']} takes no lease, {reason}",
            f"set it to {LEASED_SCHEDULERS[0]}, or keep one host in the group beat",
        )


def pool_problems(values: Mapping[str, Any], surroundings: Surroundings) -> Iterator[Problem]:
    workers = set(surroundings.groups.get("worker", ()))
    if not workers:
        return
    for path, name in placements(values):
        hosts = surroundings.hosts(name)
        outside = sorted(set(hosts) - workers)
        if not hosts and name in surroundings.groups:
            yield Problem(path, f"the group {quoted(name)} has no host", "add one, or name another group or host")
        elif not hosts:
            guess = near(name, sorted({*workers, *surroundings.groups}))
            yield Problem(
                path,
                f"the inventory has no group or host {quoted(name)}",
                f"did you mean {guess}?" if guess else "add it, or name one of the group worker",
            )
        elif outside:
            yield Problem(
                path,
                f"{listed(outside[:SHOWN_HOSTS])} {'is' if len(outside) == 1 else 'are'} not in the group worker",
                "add to the group worker what runs a pool, or name another group or host",
            )


def placements(values: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Where a description says which hosts run a pool."""
    for path, part in (
        (("pool_defaults",), values["pool_defaults"]),
        *((("pools", name), pool) for name, pool in values["pools"].items()),
    ):
        name = (part.get("servers") or {}).get("hosts")
        if name:
            yield (*path, "servers", "hosts"), name


class Port(NamedTuple):
    """What listens: a component, and the path of the description that its number comes from."""

    group: str
    path: Path
    number: int
    what: str


def port_problems(values: Mapping[str, Any], surroundings: Surroundings) -> Iterator[Problem]:
    for one, other in combinations(ports(values), 2):
        hosts = set(surroundings.groups.get(one.group, ())) & set(surroundings.groups.get(other.group, ()))
        of_one_broker = one.path[:1] == other.path[:1] == ("broker",)
        if one.number == other.number and hosts and not of_one_broker:
            reason = f"{other.number} is {one.what} on {some(hosts)} too"
            yield Problem(other.path, reason, "choose another port", (one.path,) if one.path else ())


def ports(values: Mapping[str, Any]) -> list[Port]:
    web, broker = values["web"], broker_component(values)
    found = []
    if values["database"]["kind"] == "embedded":
        found.append(Port("postgresql", (), POSTGRESQL_PORT, "PostgreSQL's port"))
    if values["broker"]["kind"] != "external":
        found.append(stated(broker, ("broker", "port"), broker_port(values)))
        if values["broker"]["topology"] == "sentinel":
            found.append(stated(broker, ("broker", "sentinel_port"), values["broker"]["sentinel_port"]))
        for path, what, number in management_ports(values) + metrics_ports(values):
            found.append(Port(broker, path, number, what))
    if web["enabled"]:
        found.append(stated("web", ("web", "servers", "https_port"), web["servers"]["https_port"]))
        found.append(stated("web", ("web", "servers", "http_port"), web["servers"]["http_port"]))
    if values["flower"]["enabled"]:
        found.append(stated("flower", ("flower", "port"), values["flower"]["port"]))
    return found


def stated(group: str, path: tuple[str, ...], number: int) -> Port:
    return Port(group, path, number, ".".join(path))
