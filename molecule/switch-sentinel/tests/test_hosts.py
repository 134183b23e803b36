"""One Redis becomes three with Sentinels, and a host that is gone gives its place to another, while tasks flow."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from resources.deployment import Deployment, Server
from resources.effects import SECONDS_UNTIL_A_LOST_MESSAGE_IS_BACK, once
from resources.load import repeated
from resources.sentinel import is_whole, primary, redis_unit, until_another_serves, until_whole

BEHIND_SENTINEL: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[2] / "resources" / "description" / "sentinel.yml").read_text()
)


@contextmanager
def flow(deployment: Deployment, name: str) -> Iterator[None]:
    """Tasks come all the while, for now and for later, and each takes effect once."""
    keys: list[str] = []

    def send() -> None:
        keys.extend(deployment.send_effects(name, 3, 0.5))
        keys.extend(deployment.send_effects(f"{name}-later", 1, 0, countdown=15))

    with repeated(send):
        yield
    assert once(deployment.all_effects(keys, SECONDS_UNTIL_A_LOST_MESSAGE_IS_BACK))


def stop_for_good(server: Server) -> None:
    subprocess.run(["docker", "stop", "--time=0", server.container], check=True, capture_output=True)


def test_one_host_becomes_three_with_sentinels(deployment: Deployment) -> None:
    first, second, third, fourth = deployment.servers
    with flow(deployment, "grown"):
        deployment.place(redis=[first, second, third], spare=[fourth])
        deployment.converge(changes=BEHIND_SENTINEL)
    until_whole(deployment)
    assert primary(deployment).name == first
    assert deployment.converge(changes=BEHIND_SENTINEL).changed == 0


def test_another_host_takes_the_place_of_one_that_is_gone(deployment: Deployment) -> None:
    first, second, third, fourth = deployment.servers.values()
    first.run("systemctl", "restart", redis_unit(deployment))
    until_another_serves(deployment, first)
    until_whole(deployment)
    gone = primary(deployment)
    stays = second if gone is third else third
    with flow(deployment, "replaced"):
        stop_for_good(gone)
        until_another_serves(deployment, gone)
        deployment.place(redis=[first.name, stays.name, fourth.name], spare=[])
        deployment.converge(changes=BEHIND_SENTINEL)
    until_whole(deployment)
    assert deployment.converge(changes=BEHIND_SENTINEL).changed == 0
    assert is_whole(deployment)
