"""The small Redis client against a real Redis over mutual TLS."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.broker.resp import Redis, RedisRefused, encoded, figures


def openssl(*arguments: str, cwd: Path) -> None:
    subprocess.run(["openssl", *arguments], cwd=cwd, check=True, capture_output=True)


def certify(pki: Path, name: str, ca: str) -> None:
    openssl(
        "req",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        f"{name}.key",
        "-out",
        f"{name}.csr",
        "-subj",
        f"/CN={name}",
        cwd=pki,
    )
    (pki / f"{name}.ext").write_text("subjectAltName=DNS:localhost\n")
    openssl(
        *("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.crt", "-CAkey", f"{ca}.key"),
        *("-CAcreateserial", "-out", f"{name}.crt", "-extfile", f"{name}.ext", "-days", "2"),
        cwd=pki,
    )


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    for ca in ("ca", "stranger"):
        openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{ca}.key", "-out", f"{ca}.crt"),
            *("-subj", f"/CN={ca}", "-days", "2", "-addext", "keyUsage=critical,keyCertSign,cRLSign"),
            cwd=folder,
        )
    for name, ca in (("redis", "ca"), ("status", "ca"), ("intruder", "stranger")):
        certify(folder, name, ca)
    return folder


@pytest.fixture(scope="module")
def port(pki: Path) -> Iterator[int]:
    if not shutil.which("redis-server"):
        pytest.fail("redis-server is missing; tools/prepare tests installs it")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number = int(probe.getsockname()[1])
    options = {
        "port": "0",
        "tls-port": str(number),
        "bind": "127.0.0.1",
        "tls-ca-cert-file": str(pki / "ca.crt"),
        "tls-cert-file": str(pki / "redis.crt"),
        "tls-key-file": str(pki / "redis.key"),
        "save": "",
        "dir": str(pki),
    }
    command = ["redis-server", *(word for name, value in options.items() for word in (f"--{name}", value))]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", number), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield number
    finally:
        server.terminate()
        server.wait(10)


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
