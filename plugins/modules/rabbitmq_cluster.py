"""Makes the nodes of RabbitMQ one cluster with every queue on every node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rabbitmq_cluster
short_description: Make the nodes of RabbitMQ one cluster with every queue on every node
description:
  - Runs on one node. Waits until all I(expected) nodes run in its cluster, has the queues made, gives each node a
    member of every quorum queue, then takes the nodes that are not in I(nodes) out of the queues and of the cluster.
  - A node that leaves and still runs is stopped as far as RabbitMQ is concerned; its unit stays.
options:
  app:
    description: Name of the app; the vhost, and the first part of each node's name.
    type: str
    required: true
  nodes:
    description: Names of all nodes that belong to the cluster.
    type: list
    elements: str
    required: true
  expected:
    description: Names of those that have to run.
    type: list
    elements: str
    required: true
  timeout:
    description: Seconds to wait for nodes that start, and for members that catch up.
    type: int
    default: 600
author: [Stalk developers]
attributes:
  check_mode: {support: full}
"""

EXAMPLES = r"""
- name: Every node is in the cluster
  stalk.celery.rabbitmq_cluster:
    app: shop
    nodes: [shop@mq1, shop@mq2, shop@mq3]
    expected: [shop@mq1, shop@mq2, shop@mq3]
"""

RETURN = r"""
made: {description: Queues that were made., type: list, returned: always}
grown: {description: Nodes that got a member of a queue., type: list, returned: always}
forgotten: {description: Nodes that left., type: list, returned: always}
"""

import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stalk.celery.plugins.module_utils.rabbitmq_nodes import (
    Commands,
    ControlFailed,
    absent,
    departed,
    lacking,
    unmade,
)


class Cluster:
    def __init__(self, app: str, nodes: list[str], expected: list[str], timeout: int) -> None:
        self.commands = Commands(Path("/usr/local/lib", app), app)
        self.definitions = Path(f"/etc/{app}/credentials/rabbitmq/queues.json")
        # RabbitMQ cannot read root's.
        self.handed_over = Path(f"/run/{app}-rabbitmq/queues.json")
        self.app = app
        self.nodes = nodes
        self.expected = expected
        self.deadline = time.monotonic() + timeout

    def wait_for_nodes(self) -> None:
        while missing := absent(self.commands.status(), self.expected):
            if time.monotonic() > self.deadline:
                raise ControlFailed(
                    f"{', '.join(missing)}: not in the cluster of {', '.join(self.expected)}; on that host "
                    f"`journalctl -u {self.app}-rabbitmq` says why"
                )
            time.sleep(2)

    def queues(self) -> list[dict[str, Any]]:
        """A node that has just come up, or is busy, does not tell at once."""
        while True:
            try:
                return self.commands.queues()
            except ControlFailed:
                if time.monotonic() > self.deadline:
                    raise
                time.sleep(2)

    def unmade(self) -> list[str]:
        return unmade(self.definitions.read_text(encoding="utf-8"), self.queues())

    def make(self) -> list[str]:
        missing = self.unmade()
        if missing:
            self.commands.control("import_definitions", str(self.handed_over))
        return missing

    def lacking(self) -> dict[str, list[str]]:
        return lacking(self.queues(), self.expected)

    def grow(self) -> list[str]:
        """A queue takes one member after another, and none while it elects who leads it."""
        grown: set[str] = set()
        while found := self.lacking():
            grown |= found.keys()
            for node in found:
                said = self.commands.attempt("rabbitmq-queues", "grow", node, "all", "--vhost-pattern", f"^{self.app}$")
                if time.monotonic() > self.deadline:
                    raise ControlFailed(f"{node}: has no member of the queues {', '.join(found[node])}: {said}")
        return sorted(grown)

    def departed(self) -> list[str]:
        return departed(self.commands.status(), self.nodes)

    def forget(self) -> list[str]:
        found = self.departed()
        running = self.commands.status().running
        for node in found:
            if node in running:
                self.commands.control("--node", node, "stop_app")
            self.commands.run("rabbitmq-queues", "shrink", node)
            self.commands.control("forget_cluster_node", node)
        return found

    def settle(self) -> None:
        """Every queue can do without any one of its members; it cannot while one that left is counted and is away."""
        self.commands.run("rabbitmq-upgrade", "await_online_quorum_plus_one", "--timeout", "300")


def main() -> None:
    module = AnsibleModule(
        {
            "app": {"type": "str", "required": True},
            "nodes": {"type": "list", "elements": "str", "required": True},
            "expected": {"type": "list", "elements": "str", "required": True},
            "timeout": {"type": "int", "default": 600},
        },
        supports_check_mode=True,
    )
    cluster = Cluster(**module.params)
    try:
        if module.check_mode:
            # As far as it can be asked: what the run would start before does not run.
            runs = not absent(cluster.commands.status(), cluster.expected)
            made, grown, forgotten = (
                (cluster.unmade(), sorted(cluster.lacking()), cluster.departed()) if runs else ([], [], [])
            )
        else:
            cluster.wait_for_nodes()
            made, grown, forgotten = cluster.make(), cluster.grow(), cluster.forget()
            if grown or forgotten:
                cluster.settle()
    except (OSError, ControlFailed) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(made or grown or forgotten), made=made, grown=grown, forgotten=forgotten)


if __name__ == "__main__":
    main()
