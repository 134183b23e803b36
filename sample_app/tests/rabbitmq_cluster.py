"""Three real RabbitMQ as one cluster, each as `tests/rabbitmq.py` starts one."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

from tests.pki import Authority
from tests.rabbitmq import Cluster, RabbitMQ

NODES = 3


class RabbitMQCluster:
    def __init__(self, folder: Path, authority: Authority, password: str) -> None:
        folder.mkdir()
        shared = Cluster([])
        self.nodes = [RabbitMQ(folder / str(number), authority, password, shared) for number in range(NODES)]
        peers = [f"cluster_formation.classic_config.nodes.{node.port} = {node.name}" for node in self.nodes]
        for node in self.nodes:
            with (node.folder / "rabbitmq.conf").open("a") as configuration:
                configuration.write("\n".join(["cluster_partition_handling = pause_minority", *peers]) + "\n")

    def start(self) -> None:
        for node in self.nodes:
            node.start()

    def stop(self) -> None:
        for node in reversed(self.nodes):
            node.stop()

    @property
    def url(self) -> str:
        return ";".join(node.url for node in self.nodes)

    @property
    def live(self) -> RabbitMQ:
        return next(node for node in self.nodes if node.process)

    def at(self, url: str) -> RabbitMQ:
        return next(node for node in self.nodes if node.port == urlsplit(url).port)

    def leader_of(self, queue: str) -> RabbitMQ:
        listed = self.live.control("list_queues", "--vhost=shop", "--formatter=json", "name", "leader", "members")
        found = next(each for each in json.loads(listed) if each["name"] == queue)
        assert len(found["members"]) == NODES, found
        return next(node for node in self.nodes if node.name == found["leader"])

    def messages_in(self, queue: str = "celery") -> int:
        return self.live.messages_in(queue)

    def lose_messages(self, queue: str = "celery") -> None:
        self.live.lose_messages(queue)

    def empty(self) -> None:
        self.live.empty()
