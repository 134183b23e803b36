"""RabbitMQ's management API, over mutual TLS and without a package on the host."""

from __future__ import annotations

import http.client
import json
import ssl
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ansible_collections.stalk.celery.plugins.module_utils.stranded import RabbitMQ

READ_AT_ONCE = 64 * 1024 * 1024


class ManagementRefused(Exception):
    """An answer that is none."""


class Management:
    def __init__(self, port: int, pki: Path, user: str, password: str, seconds: float, host: str = "localhost") -> None:
        context = ssl.create_default_context(cafile=pki / "ca.crt")
        context.load_cert_chain(pki / f"{user}.crt", pki / f"{user}.key")
        self._connection = http.client.HTTPSConnection(host, port, timeout=seconds, context=context)
        self._login = b64encode(f"{user}:{password}".encode()).decode()

    def __enter__(self) -> Management:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def get(self, path: str) -> Any:
        self._connection.request("GET", f"/api/{path}", headers={"Authorization": f"Basic {self._login}"})
        answer = self._connection.getresponse()
        body = answer.read(READ_AT_ONCE)
        if answer.status != http.client.OK:
            raise ManagementRefused(f"the management API answers {answer.status} {answer.reason}")
        return json.loads(body)

    def figures(self, vhost: str, queues: Sequence[str], node: str = "") -> dict[str, Any]:
        """With `node`, of a cluster, that one's memory and what nodes there are."""
        columns = "columns=name,state,messages_ready,messages_unacknowledged"
        nodes: list[dict[str, Any]] = self.get("nodes")
        own = next((each for each in nodes if each["name"] == node), {}) if node else nodes[0]
        found = told(own, self.get(f"queues/{quote(vhost, safe='')}?{columns}"), queues)
        return (
            {**found, "nodes": {each["name"]: bool(each["running"]) for each in nodes}, "node": node} if node else found
        )


def told(node: Mapping[str, Any], listed: Sequence[Mapping[str, Any]], queues: Sequence[str]) -> dict[str, Any]:
    """What component_status tells of a broker. `queues` are there with a length, if only 0."""
    broker = RabbitMQ(listed)
    of_tasks = sorted(broker.of_tasks())
    return {
        # A node that does not run has no figures.
        "memory": int(node.get("mem_used", 0)),
        "limit": int(node.get("mem_limit", 0)),
        "taken": sum(broker.taken[queue] for queue in of_tasks),
        "queues": {**dict.fromkeys(queues, 0), **broker.waiting(of_tasks)},
        "delayed": broker.delayed(),
        "dead": broker.dead_letters(),
        "saved": not node.get("disk_free_alarm", False),
    }
