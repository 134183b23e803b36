"""Real Redis behind Sentinel: a primary, two replicas and three Sentinels, with mutual TLS and ACL on every link."""

from __future__ import annotations

import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis

from tests.pki import Authority
from tests.ports import free_port
from tests.redis_config import write_redis_config
from tests.waiting import until

MASTER = "shop"
NODES = 3
OF_REPLICAS = "+psync +replconf +ping"
OF_SENTINELS = (
    "+ping +info +role +multi +exec +slaveof +config|rewrite +client|setname +client|kill +script|kill"
    " +publish +subscribe &__sentinel__:hello"
)
BETWEEN_SENTINELS = "+ping +publish +client|setname +sentinel|is-master-down-by-addr &__sentinel__:hello"
OF_THE_APP = "+ping +client|setname +sentinel|masters"


class Server:
    """One process of Redis, or of Sentinel."""

    def __init__(self, folder: Path, authority: Authority, users: list[str], lines: list[str], *arguments: str) -> None:
        self.port = free_port()
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        self._arguments = arguments
        tls = ["tls-replication yes"]
        write_redis_config(folder, authority, self.port, name=folder.name, users=users, lines=[*tls, *lines])

    def start(self) -> None:
        command = ["redis-server", str(self.folder / "redis.conf"), *self._arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def freeze(self) -> None:
        if self.process:
            self.process.send_signal(signal.SIGSTOP)

    def come_back(self) -> None:
        if self.process:
            self.process.send_signal(signal.SIGCONT)
        else:
            self.start()

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait(20)
            self.process = None


class RedisBehindSentinel:
    def __init__(self, folder: Path, authority: Authority, password: str, user: str) -> None:
        folder.mkdir()
        self._authority = authority
        self._password = password
        users = [
            f"user root on >{password} ~* &* +@all",
            f"user replica on >{password} {OF_REPLICAS}",
            f"user sentinel on >{password} {OF_SENTINELS}",
            user,
        ]
        settings = [
            "appendonly yes",
            "save ''",
            "maxmemory-policy noeviction",
            "min-replicas-to-write 1",
            "min-replicas-max-lag 10",
            "repl-diskless-sync-delay 0",
            "replica-announce-ip localhost",
            "masteruser replica",
            f"masterauth {password}",
        ]
        self.nodes: list[Server] = []
        for number in range(NODES):
            of_replica = [f"replicaof localhost {self.nodes[0].port}"] if number else []
            self.nodes.append(Server(folder / f"redis-{number}", authority, users, [*settings, *of_replica]))
        of_sentinel = [
            "sentinel resolve-hostnames yes",
            "sentinel announce-hostnames yes",
            "sentinel announce-ip localhost",
            f"sentinel monitor {MASTER} localhost {self.nodes[0].port} {NODES // 2 + 1}",
            f"sentinel auth-user {MASTER} sentinel",
            f"sentinel auth-pass {MASTER} {password}",
            "sentinel sentinel-user sentinel",
            f"sentinel sentinel-pass {password}",
            f"sentinel down-after-milliseconds {MASTER} 2000",
            f"sentinel failover-timeout {MASTER} 6000",
        ]
        users_of_sentinel = [
            f"user root on >{password} ~* &* +@all",
            f"user sentinel on >{password} {BETWEEN_SENTINELS}",
            f"user app on >{password} {OF_THE_APP}",
        ]
        self.sentinels = [
            Server(folder / f"sentinel-{number}", authority, users_of_sentinel, of_sentinel, "--sentinel")
            for number in range(NODES)
        ]

    @property
    def servers(self) -> list[Server]:
        return [*self.nodes, *self.sentinels]

    @property
    def url(self) -> str:
        return self.database_url(0)

    def database_url(self, database: int) -> str:
        return ";".join(f"sentinel://app:{self._password}@localhost:{each.port}/{database}" for each in self.sentinels)

    def client(self, server: Server) -> redis.Redis:
        return redis.Redis(
            host="localhost",
            port=server.port,
            username="root",
            password=self._password,
            ssl=True,
            ssl_ca_certs=str(self._authority.path),
            ssl_certfile=str(self._authority.folder / "app.crt"),
            ssl_keyfile=str(self._authority.folder / "app.key"),
            decode_responses=True,
            socket_timeout=2,
        )

    def ask(self, server: Server, *command: str) -> Any:
        """None of a server that does not answer."""
        with suppress(redis.RedisError), self.client(server) as client:
            return client.execute_command(*command)

    def start(self) -> None:
        for server in self.servers:
            server.start()
        until(self.is_whole, seconds=60, why="each Sentinel knows a primary with two replicas and two other Sentinels")

    def is_whole(self) -> bool:
        def sees_all(sentinel: Server) -> bool:
            with suppress(redis.RedisError, KeyError), self.client(sentinel) as client:
                state = client.sentinel_masters()[MASTER]
                return (state["num-slaves"], state["num-other-sentinels"], state["flags"]) == (
                    NODES - 1,
                    NODES - 1,
                    "master",
                )
            return False

        return all(sees_all(each) for each in self.sentinels) and self.replicas_of(self.primary) == NODES - 1

    def replicas_of(self, node: Server) -> int:
        return sum(row.get("state") == "online" for row in self._replication(node) if isinstance(row, dict))

    def _replication(self, node: Server) -> list[Any]:
        with suppress(redis.RedisError), self.client(node) as client:
            return list(client.info("replication").values())
        return []

    @property
    def primary(self) -> Server:
        """As most of the Sentinels say."""
        answers = [self.ask(each, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER) for each in self.sentinels]
        ports = [int(answer[1]) for answer in answers if answer]
        port = max(set(ports), key=ports.count)
        return next(node for node in self.nodes if node.port == port)

    def messages_in(self, queue: str = "celery") -> int:
        with self.client(self.primary) as client:
            return int(client.llen(f"shop:{queue}"))

    def empty(self) -> None:
        with self.client(self.primary) as client:
            client.flushall()

    def until_another_is_primary(self, than: Server) -> Server:
        until(lambda: self.primary is not than, seconds=60, why="the Sentinels choose another primary")
        return self.primary

    def stop(self) -> None:
        for server in self.servers:
            server.kill()
