"""What the users of Redis may do, and that Redis keeps what it was given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from resources.deployment import Deployment
from resources.waiting import wait_for

HANDSHAKE = Path(__file__).parents[2] / "handshake.py"
FORBIDDEN = ["KEYS *", "CONFIG GET *", "FLUSHALL", "FLUSHDB", "ACL LIST", "CLIENT LIST", "MONITOR", "SAVE"]
FORBIDDEN += ["SHUTDOWN", "EVAL return-1 0"]
USERS = ["web", "worker", "beat", "flower", "status"]

every_user = pytest.mark.parametrize("user", USERS)


def ask(deployment: Deployment, *commands: list[str]) -> list[Any]:
    """Replies of Redis to a client on its own host that has a certificate."""
    pair = deployment.authority.leaf("status")
    question = {
        "kind": "redis",
        "host": "localhost",
        "port": 6379,
        "tls": {"ca": (deployment.state / "pki" / "ca.crt").read_text(), **vars(pair)},
        "commands": list(commands),
    }
    answer = deployment.first("redis").python(HANDSHAKE, question)
    assert answer["refused"] is None, answer["refused"]
    replies: list[Any] = answer["replies"]
    return replies


def as_user(deployment: Deployment, user: str, *commands: list[str]) -> list[Any]:
    login, *replies = ask(deployment, ["AUTH", user, deployment.secret(f"REDIS_PASSWORD_{user}")], *commands)
    assert login == "OK", login
    return replies


def test_the_user_default_is_off(deployment: Deployment) -> None:
    replies = ask(deployment, ["AUTH", "default", ""], ["AUTH", ""], ["PING"])
    assert all(reply.startswith(("-WRONGPASS", "-NOAUTH", "-ERR AUTH")) for reply in replies), replies


@every_user
def test_a_user_reaches_no_key_of_another_app(deployment: Deployment, user: str) -> None:
    keys = [["LLEN", "celery"], ["LLEN", "other:celery"], ["GET", "other:key"], ["LPUSH", "other:celery", "x"]]
    replies = as_user(deployment, user, *keys)
    assert all(reply.startswith("-NOPERM") for reply in replies), replies
    assert as_user(deployment, user, ["LLEN", "shop:no-such-queue"]) == ["0"]


@every_user
def test_a_user_runs_no_command_that_looks_around_or_destroys(deployment: Deployment, user: str) -> None:
    replies = as_user(deployment, user, *(command.split() for command in FORBIDDEN))
    answers = dict(zip(FORBIDDEN, map(str, replies), strict=True))
    assert {command: answer for command, answer in answers.items() if not answer.startswith("-NOPERM")} == {}


@pytest.mark.parametrize("user", ["web", "worker", "beat", "flower"])
def test_only_the_user_of_status_lists_keys(deployment: Deployment, user: str) -> None:
    assert as_user(deployment, user, ["SCAN", "0"])[0].startswith("-NOPERM")


def test_only_workers_and_flower_take_messages_off_a_queue(deployment: Deployment) -> None:
    for user in ("web", "beat", "status"):
        assert as_user(deployment, user, ["RPOP", "shop:celery"])[0].startswith("-NOPERM"), user


def test_redis_refuses_writes_rather_than_forgetting_messages(deployment: Deployment) -> None:
    assert "maxmemory_policy:noeviction" in as_user(deployment, "status", ["INFO", "memory"])[0]


def test_what_redis_was_given_outlives_its_kill(deployment: Deployment) -> None:
    alone, together = (f"shop:celery-task-meta-test-{name}" for name in ("alone", "together"))
    # Messages are taken in transactions, and those have been lost on their own (redis/redis issue 14541).
    writes = [["SET", alone, "kept"], ["MULTI"], ["SET", together, "kept"], ["EXEC"]]
    assert as_user(deployment, "web", *writes) == ["OK", "OK", "QUEUED", ["OK"]]
    wait_for(
        "Redis has given the writes to the disk",
        lambda: "aof_pending_bio_fsync:0" in as_user(deployment, "status", ["INFO", "persistence"])[0],
    )
    deployment.first("redis").kill(f"{deployment.app}-redis.service")
    assert as_user(deployment, "web", ["GET", alone], ["GET", together]) == ["kept", "kept"]
    as_user(deployment, "web", ["DEL", alone, together])
