"""A real RabbitMQ of a test run's own: TLS alone, client certificates required, nothing beyond the loopback."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from ssl import CERT_REQUIRED
from typing import Any

from amqp.exceptions import NotFound
from kombu.connection import Connection

from tests.pki import Authority
from tests.ports import free_port
from tests.waiting import until

# Debian's /usr/sbin/rabbitmq-server wants to be another user.
PROGRAM = "/usr/lib/rabbitmq/bin/rabbitmq-server"
VHOST = "shop"
COMMON_NAME = "shop-rabbitmq"
"""In the certificate of every node."""
FULL_QUEUE = "full"
"""A queue that takes one message."""
POOLS = ("prefork", "gevent", "threads", "solo")
QUEUES = ("celery", "high_priority", "webhooks", "reports", "high", "eu.high", "periodic", FULL_QUEUE, *POOLS)


def has_no_consumer(channel: Any, queue: str) -> bool:
    return not channel.queue_declare(queue, passive=True).consumer_count


@dataclass
class Cluster:
    """What its nodes share."""

    nodes: list[RabbitMQ]
    cookie: str = field(default_factory=lambda: secrets.token_hex(16))
    names_port: int = field(default_factory=free_port)


class RabbitMQ:
    def __init__(self, folder: Path, authority: Authority, password: str, cluster: Cluster | None = None) -> None:
        self.port = free_port()
        self.name = f"stalk-{self.port}@localhost"
        self.cluster = cluster or Cluster([])
        self.cluster.nodes.append(self)
        self.folder = folder
        self.authority = authority
        self.password = password
        self.process: subprocess.Popen[bytes] | None = None
        self.names: subprocess.Popen[bytes] | None = None
        self.log = folder / "log" / "rabbitmq.log"
        folder.mkdir()
        certificate, key = authority.leaf("rabbitmq", ("localhost", COMMON_NAME))
        (folder / "enabled_plugins").write_text("[rabbitmq_auth_mechanism_ssl].\n")
        (folder / ".erlang.cookie").touch(mode=0o600)
        (folder / ".erlang.cookie").write_text(self.cluster.cookie)
        (folder / "definitions.json").write_text(json.dumps(self._definitions()))
        (folder / "rabbitmq.conf").write_text(
            "\n".join(
                (
                    "listeners.tcp = none",
                    f"listeners.ssl.1 = 127.0.0.1:{self.port}",
                    f"ssl_options.cacertfile = {authority.path}",
                    f"ssl_options.certfile = {certificate}",
                    f"ssl_options.keyfile = {key}",
                    "ssl_options.verify = verify_peer",
                    "ssl_options.fail_if_no_peer_cert = true",
                    "ssl_options.versions.1 = tlsv1.3",
                    "auth_mechanisms.1 = PLAIN",
                    "auth_mechanisms.2 = EXTERNAL",
                    "ssl_cert_login_from = common_name",
                    f"load_definitions = {folder / 'definitions.json'}",
                    f"log.file = {self.log}",
                    "raft.wal_max_size_bytes = 16777216",
                )
            )
            + "\n"
        )
        # As Stalk sets it; else 3 minutes pass until what is due, and its queue did not take, is sent again.
        (folder / "advanced.config").write_text(
            "[{rabbit, [{dead_letter_worker_publisher_confirm_timeout, 10000}]}].\n"
        )
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none.conf"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_PORT": str(self.cluster.names_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def _definitions(self) -> dict[str, object]:
        salt = secrets.token_bytes(4)
        digest = hashlib.sha256(salt + self.password.encode()).digest()
        users = ("app", "root")
        every = dict.fromkeys(("configure", "write", "read"), ".*")
        return {
            "vhosts": [{"name": VHOST}],
            "users": [
                {
                    "name": user,
                    "password_hash": base64.b64encode(salt + digest).decode(),
                    "hashing_algorithm": "rabbit_password_hashing_sha256",
                    "tags": "",
                }
                for user in users
            ],
            "permissions": [{"user": user, "vhost": VHOST, **every} for user in users],
            "policies": [
                {
                    "name": FULL_QUEUE,
                    "vhost": VHOST,
                    "pattern": f"^{FULL_QUEUE}$",
                    "apply-to": "queues",
                    "definition": {"max-length": 1, "overflow": "reject-publish"},
                    "priority": 0,
                }
            ],
        }

    @property
    def url(self) -> str:
        return f"amqps://app:{self.password}@localhost:{self.port}/{VHOST}"

    @property
    def url_without_password(self) -> str:
        return f"amqps://localhost:{self.port}/{VHOST}?login_method=EXTERNAL"

    def client(self) -> Connection:
        """A client beside the app's, to look behind Celery's back."""
        return Connection(  # type: ignore[no-untyped-call]
            f"pyamqp://root:{self.password}@localhost:{self.port}/{VHOST}",
            ssl={
                "ca_certs": str(self.authority.path),
                "certfile": str(self.authority.folder / "app.crt"),
                "keyfile": str(self.authority.folder / "app.key"),
                "cert_reqs": CERT_REQUIRED,
                "server_hostname": "localhost",
            },
            connect_timeout=5,
        )

    def messages_in(self, queue: str = "celery") -> int:
        with self.client() as client:
            try:
                return int(client.default_channel.queue_declare(queue, passive=True).message_count)
            except NotFound:
                return 0

    def lose_messages(self, queue: str = "celery") -> None:
        with self.client() as client, contextlib.suppress(NotFound):
            client.default_channel.queue_purge(queue)

    def lose(self, queue: str) -> None:
        with self.client() as client:
            client.default_channel.queue_delete(queue)

    def empty(self) -> None:
        """Keeps the queues: 3.10 does not recover one that was made anew when it is killed soon after."""
        with self.client() as client:
            channel = client.default_channel
            for queue in QUEUES:
                with contextlib.suppress(NotFound):
                    until(partial(has_no_consumer, channel, queue))
                    channel.queue_purge(queue)

    def control(self, *arguments: str) -> str:
        command = ["/usr/lib/rabbitmq/bin/rabbitmqctl", "--quiet", *arguments]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, check=True).stdout

    def start(self) -> None:
        if self.names is None:
            # Else RabbitMQ starts a daemon that outlives it.
            self.names = subprocess.Popen(["epmd"], env=self._environment, stdout=subprocess.DEVNULL)
        self.process = subprocess.Popen(
            [PROGRAM],
            env=self._environment,
            cwd=self.folder,
            stdout=(self.folder / "console.log").open("ab"),
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        until(self._answers, seconds=120, every=0.2, why=f"RabbitMQ answers; {self.folder}/console.log")

    def _answers(self) -> bool:
        if self.process and self.process.poll() is not None:
            raise RuntimeError(f"RabbitMQ ended: {(self.folder / 'console.log').read_text()}")
        try:
            with self.client() as client:
                client.connect()
        except OSError:
            return False
        return True

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Killed, as with its host; what it confirmed is on disk."""
        self.kill()
        try:
            yield
        finally:
            self.start()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        self._signal(signal.SIGSTOP)
        until(self._is_stopped, why="the signal has reached each thread, which a busy host lets run on for a moment")
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)

    def _is_stopped(self) -> bool:
        states = []
        for stat in Path("/proc").glob("[0-9]*/task/[0-9]*/stat"):
            with contextlib.suppress(OSError):
                state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
                if self.process and int(group) == self.process.pid:
                    states.append(state)
        return set(states) == {"T"}

    def _signal(self, number: signal.Signals) -> None:
        assert self.process
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        if self.process:
            self._signal(signal.SIGKILL)
            self.process.wait(20)
            self.process = None

    def stop(self) -> None:
        self.kill()
        if self.names:
            self.names.kill()
            self.names.wait(20)
