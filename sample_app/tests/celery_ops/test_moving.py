"""The script that moves messages to another broker, with the app's own settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from runpy import run_path
from types import SimpleNamespace
from typing import Any

import pytest
from amqp.exceptions import MessageNacked

from config.celery import app
from tests.brokers import ON_SENTINEL
from tests.processes import APP_FOLDER
from tests.sentinel import MASTER, RedisBehindSentinel
from tests.services import Services

SCRIPTS = APP_FOLDER.parent / "plugins/module_utils"
MOVER = SCRIPTS / "move_messages.py"


def move(environment: dict[str, str], old: str, new: str, *queues: str) -> Any:
    names = {"CELERY_SENTINEL_MASTER": MASTER} if old.startswith("sentinel:") else {}
    asked = {"celery": "config.celery", "old": old, "names": names, "new": new, "queues": queues}
    question = json.dumps({**asked, "abandoned": [], "held": True, "most": 100})
    inherited = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    done = subprocess.run(
        [sys.executable, str(MOVER)],
        cwd=APP_FOLDER,
        env=inherited | environment,
        input=question,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@ON_SENTINEL
@pytest.mark.usefixtures("empty_broker", "transactional_db")
def test_messages_come_from_sentinel_with_the_environment_of_the_new_broker(
    broker: RedisBehindSentinel, services: Services, environment: dict[str, str]
) -> None:
    app.send_task("shop.tasks.unknown", queue="reports")
    of_the_new = {name: value for name, value in environment.items() if name != "CELERY_SENTINEL_MASTER"}
    answer = move(of_the_new, broker.url, services.redis.url, "reports")
    assert answer == {"moved": {"reports": 1}, "complete": True, "kept": 0}
    assert (broker.messages_in("reports"), services.redis.messages_in("reports")) == (0, 1)


def test_a_dead_letter_that_was_moved_tells_its_queue() -> None:
    letter = run_path(str(SCRIPTS / "dead_letters.py"))["Letter"]
    moved = {"task": "shop.tasks.ship", "id": "7", "x-stalk-death": {"queue": "reports", "reason": "rejected"}}
    assert str(letter.of(SimpleNamespace(headers=moved))) == "shop.tasks.ship 7, of queue reports (rejected)"
    died_again = {**moved, "x-death": [{"queue": "celery", "reason": "delivery_limit"}]}
    assert str(letter.of(SimpleNamespace(headers=died_again))) == "shop.tasks.ship 7, of queue celery (delivery_limit)"
    assert str(letter.of(SimpleNamespace(headers={}))) == "no task, of queue unknown ()"


class NoWay:
    """A connection of RabbitMQ whose channels publish nothing, and end as they are told to."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self.opened = self.closed = 0
        self.events: dict[str, set[Callable[..., None]]] = {"basic_return": set()}

    def channel(self) -> NoWay:
        self.opened += 1
        return self

    def basic_publish_confirm(self, *_: object, **__: object) -> None:
        if self.error:
            raise self.error
        for returned in self.events["basic_return"]:
            returned(ValueError("no route"))

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize(
    ("error", "why"), [(None, "queue reports is not there"), (MessageNacked(), "queue reports takes no more")]
)
def test_a_dead_letter_that_has_to_stay_leaves_no_channel_open(error: Exception | None, why: str) -> None:
    put = run_path(str(SCRIPTS / "dead_letters.py"))["why_not_published"]
    connection = NoWay(error)
    assert put(connection, "reports", SimpleNamespace(body="", properties={})) == why
    assert connection.opened == connection.closed == 1
