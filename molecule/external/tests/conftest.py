"""What the tests of both brokers share: a run that is refused changes nothing, and the shop works by its broker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from resources.deployment import Deployment, Run, Server

PASSWORD = "a/b@c"
Refused = Callable[..., str]


@pytest.fixture(scope="session")
def managed(deployment: Deployment) -> Server:
    return deployment.first("managed")


@pytest.fixture
def refused(deployment: Deployment) -> Refused:
    """Runs the site and gives the one line that it is refused with; every process goes on."""

    def run(changes: dict[str, Any], **variables: Any) -> str:
        server = deployment.first("web")
        before = server.invocations(f"{deployment.app}-*.service")
        done: Run = deployment.site(changes=changes, **variables)
        assert done.rc != 0, done.output
        assert "Traceback" not in done.output
        assert server.invocations(f"{deployment.app}-*.service") == before
        *lines, last = done.message.splitlines()
        assert (len(lines), last) == (1, "Nothing was changed."), done.output
        return lines[0]

    return run


@contextmanager
def away(server: Server, unit: str) -> Iterator[None]:
    server.run("systemctl", "stop", unit)
    try:
        yield
    finally:
        server.run("systemctl", "start", unit)
