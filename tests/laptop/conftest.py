"""The stack in containers on this machine, with Redis, then with RabbitMQ."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.laptop.containers import Laptop, build_image_of_services


@pytest.fixture(scope="session")
def image_of_services() -> None:
    build_image_of_services()


@pytest.fixture(scope="module", params=["redis", "rabbitmq"])
def laptop(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, image_of_services: None
) -> Iterator[Laptop]:
    laptop = Laptop(tmp_path_factory.mktemp(request.param), request.param)
    laptop.compose("down", "--volumes", "--remove-orphans")
    try:
        laptop.compose("up", "--detach", "--wait")
        yield laptop
    finally:
        laptop.compose("down", "--volumes", "--remove-orphans")
