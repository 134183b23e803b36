"""Servers that the bench deploys beside the measured one: a container each, by an inventory of bench/inventory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from bench.report import ROOT
from bench.server import BASE_IMAGE, SERVERS, inside, play, run
from bench.service import APP, VENV, service

ARRIVALS = "/opt/arrivals"
FOLDERS = f"--setenv=PYTHONPATH={ARRIVALS}:{APP}"


@dataclass(frozen=True)
class Stand:
    """One deployment, named after its broker."""

    name: str
    image: str = BASE_IMAGE

    @property
    def inventory(self) -> str:
        return f"bench/inventory/{self.name}/hosts.yml"

    @property
    def described(self) -> dict[str, Any]:
        described: dict[str, Any] = yaml.safe_load((ROOT / self.inventory).read_text())
        return described

    @property
    def hosts(self) -> list[str]:
        return list(self.described["worker"]["hosts"])

    def play(self, playbook: str) -> None:
        play(playbook, files=self.described["all"]["vars"]["stack_files"], inventory=self.inventory)

    def deploy(self) -> None:
        """Every component, with the task of bench/arrivals and without the pool that would take it."""
        self.destroy()
        play(f"{SERVERS}/create.yml", variables={"server_image": self.image}, inventory=self.inventory)
        self.play("playbooks/site.yml")
        for host in self.hosts:
            run(["docker", "cp", str(ROOT / "bench" / "arrivals"), f"{host}:{ARRIVALS}"])
            inside("chmod", "-R", "a+rX", ARRIVALS, host=host)
            inside("systemctl", "stop", "shop-worker@arrivals.service", host=host)

    def destroy(self) -> None:
        play(f"{SERVERS}/destroy.yml", inventory=self.inventory)

    def send(self, host: str, queue: str, *arguments: object, options: tuple[str, ...] = ()) -> str:
        """What arrivals.py prints there, sent with the rights of the web process."""
        command = (f"{VENV}/python", f"{ARRIVALS}/arrivals.py", queue, *map(str, arguments))
        return service(
            "arrivals-sender.service", "web", APP, *command, wait=True, host=host, options=(FOLDERS, *options)
        )
