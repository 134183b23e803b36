"""The nodes of a cluster of RabbitMQ, by its command line."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

QUORUM = ("quorum", "rabbit_quorum_queue")
"""The type of a quorum queue, as RabbitMQ 4 and 3.10 call it."""


class ControlFailed(Exception):
    """One line for the person who deploys."""


@dataclass(frozen=True)
class Status:
    members: tuple[str, ...] = ()
    running: tuple[str, ...] = ()


def read_status(answer: Mapping[str, Any]) -> Status:
    """Of `cluster_status --formatter=json`."""
    members = [*answer.get("disk_nodes", ()), *answer.get("ram_nodes", ())]
    return Status(tuple(dict.fromkeys(members)), tuple(answer.get("running_nodes", ())))


def absent(status: Status, expected: Iterable[str]) -> list[str]:
    return [node for node in expected if node not in status.running]


def departed(status: Status, nodes: Collection[str]) -> list[str]:
    return [node for node in status.members if node not in nodes]


def unmade(definitions: str, queues: Iterable[Mapping[str, Any]]) -> list[str]:
    """Queues of the definitions that are not there."""
    there = {queue["name"] for queue in queues}
    return [queue["name"] for queue in json.loads(definitions)["queues"] if queue["name"] not in there]


def lacking(queues: Iterable[Mapping[str, Any]], nodes: Iterable[str]) -> dict[str, list[str]]:
    """Node to the quorum queues that it has no member of."""
    of_quorum = [queue for queue in queues if queue["type"] in QUORUM]
    found = {node: [queue["name"] for queue in of_quorum if node not in (queue["members"] or ())] for node in nodes}
    return {node: names for node, names in found.items() if names}


class Commands:
    """RabbitMQ's command line on this host."""

    def __init__(self, folder: Path, vhost: str) -> None:
        self.folder = folder
        self.vhost = vhost

    def attempt(self, program: str, *arguments: str) -> str:
        """What it says when it fails; nothing when it does not."""
        done = self._call(program, *arguments)
        return said(done) if done.returncode else ""

    def run(self, program: str, *arguments: str) -> str:
        done = self._call(program, *arguments)
        if done.returncode:
            raise ControlFailed(f"{program} {' '.join(arguments)}: {said(done)}")
        return done.stdout

    def control(self, *arguments: str) -> str:
        return self.run("rabbitmqctl", *arguments)

    def _call(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.folder / program), "--quiet", *arguments]
        return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)

    def status(self) -> Status:
        """None that is known when this node does not run."""
        done = self._call("rabbitmqctl", "cluster_status", "--formatter=json")
        return Status() if done.returncode else read_status(json.loads(done.stdout))

    def queues(self) -> list[dict[str, Any]]:
        columns = ("name", "type", "members")
        listed = self.control("list_queues", "--vhost", self.vhost, "--formatter=json", *columns)
        found: list[dict[str, Any]] = json.loads(listed)
        return found


def said(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join((done.stderr or done.stdout).split())
