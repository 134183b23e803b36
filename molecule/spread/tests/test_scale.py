"""A host that leaves ends its tasks first, and one that joins gets some."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from resources.deployment import Deployment
from resources.effects import once
from resources.waiting import wait_for

Workers = Callable[..., None]


@pytest.fixture
def workers(deployment: Deployment) -> Iterator[Workers]:
    """Has `site` deploy workers on these hosts alone; all are back in the end."""
    file, arguments = deployment.inventory_file, deployment.inventory_arguments
    deployment.inventory_file = deployment.root / "inventory" / "production.example" / "hosts.yml"

    def place(*hosts: str) -> None:
        deployment.place(worker=hosts)
        deployment.converge()

    yield place
    deployment.inventory_file, deployment.inventory_arguments = file, arguments
    deployment.__dict__.pop("inventory", None)
    deployment.converge()


def works(deployment: Deployment, host: str, keys: list[str]) -> bool:
    return any(line.worker.endswith(f"@{host}") for line in deployment.ledger(keys).values())


@pytest.mark.long
def test_a_host_leaves_after_its_tasks_and_joins_again(deployment: Deployment, workers: Workers) -> None:
    # The second one has a pool of its own.
    leaves, stays = deployment.on("worker")
    keys = deployment.send_effects("under-way", 30, 5)
    wait_for("both work", lambda: all(works(deployment, host.name, keys) for host in (stays, leaves)))
    workers(stays.name)
    assert leaves.units(f"{deployment.app}-worker@*") == []
    ended = deployment.all_effects(keys)
    assert once(ended)
    assert works(deployment, leaves.name, keys)
    assert {line.starts for line in ended.values()} == {1}, "what was under way was ended, not sent again"

    workers(leaves.name, stays.name)
    more = deployment.send_effects("after", 30, 1)
    assert once(deployment.all_effects(more))
    assert works(deployment, leaves.name, more)
