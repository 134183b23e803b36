"""What a host of the inventory should run, and what to ask it. Pure: nothing is connected to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.stalk.celery.plugins.module_utils.host_address import host_address
from ansible_collections.stalk.celery.plugins.module_utils.unit_names import heartbeat_of, worker_unit

COMPONENTS = ("redis", "rabbitmq", "postgresql", "web", "worker", "beat", "flower")
BROKERS = ("redis", "rabbitmq")


@dataclass(frozen=True)
class Expected:
    """What the description places on one host."""

    host: str
    components: tuple[str, ...]
    pools: tuple[str, ...]
    has_sentinel: bool = False

    def units(self, app: str) -> list[str]:
        units = {
            **{broker: [f"{app}-{broker}.service"] for broker in BROKERS},
            "web": [f"{app}-web.service", f"{app}-web.socket", "nginx.service"],
            "worker": [worker_unit(app, pool) for pool in self.pools],
            "beat": [f"{app}-beat.service"],
            "flower": [f"{app}-flower.service"],
        }
        if self.has_sentinel:
            units["redis"].append(f"{app}-sentinel.service")
        return [unit for component in self.components for unit in units.get(component, [])]

    @property
    def certificates(self) -> list[str]:
        """Names of the leaves that the components here use; those of components that left are of no interest."""
        leaves = {"redis": ["redis", "status"], "rabbitmq": ["rabbitmq", "status", "operator"]}
        return [leaf for component in self.components for leaf in leaves.get(component, [component])]


def expected_on(host: str, stack: Mapping[str, Any], groups: Mapping[str, Iterable[str]]) -> Expected:
    switched_off = {name for name in ("web", "beat", "flower") if not stack[name]["enabled"]}
    if stack["database"]["kind"] != "embedded":
        switched_off.add("postgresql")
    switched_off |= {broker for broker in BROKERS if broker != stack["broker"]["component"]}
    components = tuple(name for name in COMPONENTS if host in groups.get(name, ()) and name not in switched_off)
    pools = pools_on(host, stack, groups) if "worker" in components else ()
    return Expected(host, components, pools, stack["broker"]["topology"] == "sentinel" and "redis" in components)


def pools_on(host: str, stack: Mapping[str, Any], groups: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """As the role `worker` places them: on the pool's group or host, else on every worker."""
    return tuple(
        name
        for name, pool in stack["pools"].items()
        if not pool["servers"]["hosts"] or host in groups.get(pool["servers"]["hosts"], [pool["servers"]["hosts"]])
    )


def queues_of(stack: Mapping[str, Any]) -> list[str]:
    consumed = [queue for pool in stack["pools"].values() for queue in pool["queues"]]
    filled = [stack["app"]["default_queue"], *stack["app"]["routes"].values(), *stack["app"]["queues"]]
    return list(dict.fromkeys([*consumed, *filled]))


def broker_question(stack: Mapping[str, Any], queues: list[str], nodes: Sequence[str] = ()) -> dict[str, Any]:
    """What the module component_status is to ask the broker of its host; lengths of these queues at least. `nodes` are
    the addresses of a cluster's, the one of this host first."""
    broker = stack["broker"]
    port = broker["management_port" if broker["component"] == "rabbitmq" else "port"]
    return {"component": broker["component"], "port": port, "queues": queues, "nodes": list(nodes)}


def nodes_seen_from(host: str, stack: Mapping[str, Any], variables: Mapping[str, Any]) -> list[str]:
    """Addresses of a cluster's nodes, of which any tells of all, that of the host first; none of another topology."""
    if stack["broker"]["topology"] != "cluster":
        return []
    hosts = variables["groups"].get(stack["broker"]["component"], ())
    return [host_address(variables["hostvars"][each]) for each in sorted(hosts, key=lambda each: each != host)]


def questions(expected: Expected, stack: Mapping[str, Any], nodes: Sequence[str] = ()) -> dict[str, Any]:
    """The arguments of the module component_status."""
    app = stack["app"]["name"]
    beating = [worker_unit(app, pool) for pool in expected.pools]
    if "beat" in expected.components:
        beating.append(f"{app}-beat.service")
    asked: dict[str, Any] = {
        "app": app,
        "units": expected.units(app),
        "heartbeats": {unit: str(heartbeat_of(unit)) for unit in beating},
        "pages": {},
        "certificates": [f"{name}.crt" for name in ("ca", *expected.certificates)],
    }
    if "web" in expected.components:
        port = stack["web"]["servers"]["https_port"]
        asked["certificates"].append("site.pem")
        asked["pages"]["web"] = {"port": port, "path": "/readyz", "certificate": ""}
    if "flower" in expected.components:
        asked["pages"]["flower"] = {
            "port": stack["flower"]["port"],
            "path": "/flower/healthcheck",
            "certificate": "flower",
        }
    if stack["broker"]["component"] in expected.components:
        asked["broker"] = broker_question(stack, queues_of(stack), nodes)
    if "postgresql" in expected.components:
        asked["database"] = True
    return asked
