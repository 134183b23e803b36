"""The small Redis client against a real Redis over mutual TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.broker.resp import Redis, RedisRefused, encoded, figures
from broker_servers import AUTHORITY, STRANGER, redis_server


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    AUTHORITY.leaf("status").write(folder, "status")
    STRANGER.leaf("intruder").write(folder, "intruder")
    return folder


@pytest.fixture(scope="module")
def port(pki: Path) -> Iterator[int]:
    with redis_server(pki, {}, users="user default on nopass ~* &* +@all\n") as port:
        yield port


def test_it_reads_every_kind_of_reply(pki: Path, port: int) -> None:
    with Redis.on_this_host(port, pki, "status", 5) as redis:
        assert redis.call("PING") == "PONG"
        assert redis.call("RPUSH", "shop:queue", "a", "ü") == 2
        assert redis.call("LRANGE", "shop:queue", "0", "-1") == ["a", "ü"]
        assert redis.call("GET", "nothing") is None
        assert redis.calls([("LLEN", "shop:queue"), ("LLEN", "none")]) == [2, 0]
        assert int(figures(str(redis.call("INFO", "memory")))["used_memory"]) > 0


def test_an_error_of_the_server_is_raised(pki: Path, port: int) -> None:
    with Redis.on_this_host(port, pki, "status", 5) as redis, pytest.raises(RedisRefused, match="WRONGPASS"):
        redis.call("AUTH", "status", "wrong")


def test_a_certificate_of_another_ca_is_refused(pki: Path, port: int) -> None:
    with pytest.raises((OSError, RedisRefused)), Redis.on_this_host(port, pki, "intruder", 5) as redis:
        redis.call("PING")


def test_an_argument_may_hold_anything() -> None:
    assert encoded(("GET", "a\r\nb")) == b"*2\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\n"
