"""The chart's script that waits for RabbitMQ's queues, with a broker that stands for it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "helm" / "stalk" / "files" / "app" / "queues.py"


class AMQPError(Exception):
    """As py-amqp's."""


class AccessRefused(AMQPError):
    """403."""


class NotFound(AMQPError):
    """404."""


class Broker:
    """Has these queues, and lets the process configure what is allowed."""

    def __init__(self, queues: set[str], allowed: set[str]) -> None:
        self.queues = queues
        self.allowed = allowed

    def __enter__(self) -> Broker:
        return self

    def __exit__(self, *_: Any) -> None:
        """Stays."""

    def channel(self) -> Broker:
        return self

    def close(self) -> None:
        """Stays open."""

    def queue_declare(self, queue: str, passive: bool) -> None:
        assert passive
        if queue not in self.queues:
            raise NotFound

    def exchange_declare(self, exchange: str, type: str, durable: bool, auto_delete: bool) -> None:
        """As RabbitMQ has it by its definitions: another one would be refused."""
        assert (type, durable, auto_delete) == ("topic", True, False)
        if exchange not in self.allowed:
            raise AccessRefused


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """With a py-amqp that has no more than its errors."""
    exceptions = {each.__name__: each for each in (AMQPError, AccessRefused, NotFound)}
    for name in ("amqp", "amqp.exceptions"):
        module = ModuleType(name)
        vars(module).update(exceptions)
        monkeypatch.setitem(sys.modules, name, module)
    spec = importlib.util.spec_from_file_location("await_queues", SCRIPT)
    assert spec
    assert spec.loader
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    monkeypatch.setenv("DEPLOYED_QUEUES", '["celery", "reports"]')
    return found


@pytest.mark.parametrize(
    ("queues", "allowed", "lacks"),
    [
        ({"celery", "reports"}, {"celery", "reports"}, ""),
        ({"celery"}, {"celery", "reports"}, "RabbitMQ does not have the queue reports yet"),
        ({"celery", "reports"}, {"celery"}, "RabbitMQ does not have this process's rights to the queue reports yet"),
    ],
)
def test_it_lacks_a_queue_and_the_rights_to_one(
    script: Any, monkeypatch: pytest.MonkeyPatch, queues: set[str], allowed: set[str], lacks: str
) -> None:
    monkeypatch.setattr(script, "connection", lambda: Broker(queues, allowed))
    assert script.lack(["celery", "reports"]) == lacks


def test_a_queue_that_comes_back_is_waited_for_until_the_rights_to_it_are_there(
    script: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broker = Broker({"celery", "reports"}, {"celery"})
    monkeypatch.setattr(script, "connection", lambda: broker)
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            broker.allowed.add("reports")

    monkeypatch.setattr(script.time, "sleep", wait)
    script.main()
    assert len(waits) == 2
    said = "RabbitMQ does not have this process's rights to the queue reports yet; waiting\n"
    assert capsys.readouterr().out == said


def test_one_that_does_not_answer_is_not_waited_for(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> Broker:
        raise ConnectionRefusedError

    monkeypatch.setattr(script, "connection", refuse)
    script.main()
