"""A run that is refused: the one line that says why, and that nothing changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from resources.deployment import Deployment, Server


def refusal(deployment: Deployment, changes: dict[str, Any], **variables: Any) -> str:
    """Every process goes on meanwhile."""
    server = deployment.first("worker")
    before = server.invocations(f"{deployment.app}-*.service")
    done = deployment.site(changes=changes or None, **variables)
    assert done.rc != 0, done.output
    assert "Traceback" not in done.output
    assert server.invocations(f"{deployment.app}-*.service") == before
    *lines, last = done.message.splitlines()
    assert (len(lines), last) == (1, "Nothing was changed."), done.output
    return lines[0]


def assert_a_waiting_message_keeps_its_pool(deployment: Deployment, described: dict[str, Any]) -> None:
    """A pool whose queue still has a message is not allowed to leave."""
    server = deployment.first("worker")
    pool = {"queues": ["archive"], "servers": {"hosts": server.name}}
    deployment.converge(changes={**described, "app": {"queues": ["archive"]}, "pools": {"archive": pool}})
    with away(server, f"{deployment.app}-worker@archive.service"):
        waiting = deployment.send_effects("archived", 1, 0, queue="archive")
        line = refusal(deployment, described)
        assert line.startswith("queue archive: 1 message waits and no pool would consume it; ")
    deployment.all_effects(waiting)
    deployment.converge(changes=described or None)


@contextmanager
def away(server: Server, unit: str) -> Iterator[None]:
    server.run("systemctl", "stop", unit)
    try:
        yield
    finally:
        server.run("systemctl", "start", unit)
