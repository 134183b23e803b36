"""A real Redis (TLS, client certificates required, ACL) and a real PostgreSQL (TLS) of a test run's own, and where a
test asks for it a real RabbitMQ."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import redis

from tests.pki import Authority
from tests.ports import free_port
from tests.rabbitmq import RabbitMQ
from tests.rabbitmq_cluster import RabbitMQCluster
from tests.redis_config import write_redis_config
from tests.sentinel import MASTER, RedisBehindSentinel
from tests.waiting import until

PREFIX = "shop:"
PASSWORD = "only-in-tests"
COMMANDS = (
    "-@all +ping +hello +auth +select +client|setname +multi +exec +discard +watch +unwatch +brpop +lpush +rpush +rpop"
    " +lrange +llen +zadd +zrem +zrange +zrangebyscore +zrevrangebyscore +zcount +hset +hget +hdel +hlen +sadd +srem"
    " +smembers +sismember +del +exists +expire +pexpire +get +mget +set +setex +incr +incrby +publish +subscribe"
    " +unsubscribe +psubscribe +punsubscribe +evalsha +script|load +script|exists +time"
)
ROUTES = {
    "shop.tasks.charge_order": "high_priority",
    "shop.tasks.notify_order": "webhooks",
    "shop.tasks.deliver_webhook": "webhooks",
    "shop.tasks.build_report": "reports",
}
CHANNELS = f"&{PREFIX}* &{PREFIX}/0.celery.pidbox &{PREFIX}/0.celeryev/worker.* &{PREFIX}/0.celeryev/*"
USER = f"user app on >{PASSWORD} ~{PREFIX}* {CHANNELS} {COMMANDS}"


class Redis:
    def __init__(self, folder: Path, authority: Authority) -> None:
        self.port = free_port()
        self.folder = folder
        self.authority = authority
        self.process: subprocess.Popen[bytes] | None = None
        users = [f"user root on >{PASSWORD} ~* &* +@all", USER]
        lines = ['tls-protocols "TLSv1.3"', "appendonly yes", "save ''", "maxmemory-policy noeviction"]
        write_redis_config(folder, authority, self.port, name="redis", users=users, lines=lines)

    @property
    def url(self) -> str:
        return self.database_url(0)

    def database_url(self, database: int, user: str = "app") -> str:
        return f"rediss://{user}:{PASSWORD}@localhost:{self.port}/{database}"

    def client(self, database: int = 0) -> redis.Redis:
        """A client that may do everything, to look behind Celery's back."""
        return redis.Redis.from_url(
            self.database_url(database, "root"),
            ssl_ca_certs=str(self.authority.path),
            ssl_certfile=str(self.authority.folder / "app.crt"),
            ssl_keyfile=str(self.authority.folder / "app.key"),
            decode_responses=True,
        )

    def messages_in(self, queue: str = "celery") -> int:
        with self.client() as client:
            return int(client.llen(f"{PREFIX}{queue}"))

    def lose_messages(self, queue: str = "celery") -> None:
        """Those that workers hold as well."""
        with self.client() as client:
            client.delete(f"{PREFIX}{queue}", f"{PREFIX}unacked", f"{PREFIX}unacked_index")

    def empty(self) -> None:
        with self.client() as client:
            client.flushall()

    def start(self) -> None:
        self.process = subprocess.Popen(["redis-server", str(self.folder / "redis.conf")], stdout=subprocess.DEVNULL)
        until(self._answers, why="Redis answers")

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        self.stop()
        try:
            yield
        finally:
            self.start()

    def stop(self) -> None:
        if self.process:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(20)
            self.process = None


def postgresql_programs() -> Path:
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    if versions:
        return versions[-1]
    if found := shutil.which("initdb"):
        return Path(found).parent
    raise RuntimeError("PostgreSQL's initdb is missing; install the package postgresql")


class PostgreSQL:
    """Runs as `postgres` when the tests run as root, which PostgreSQL refuses."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.port = free_port()
        self.folder = folder
        self.authority = authority
        self.programs = postgresql_programs()
        self.user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        folder.mkdir()
        certificate, key = authority.leaf("postgresql")
        shutil.copy(certificate, folder / "server.crt")
        shutil.copy(key, folder / "server.key")
        if os.geteuid() == 0:
            for path in (folder, folder / "server.crt", folder / "server.key"):
                shutil.chown(path, "postgres")
        self._run("initdb", "--pgdata", str(folder / "data"), "--auth", "trust", "--username", "shop", "--no-sync")
        (folder / "data" / "pg_hba.conf").write_text(
            "local all all trust\nhostssl all all 127.0.0.1/32 trust clientcert=verify-ca\n"
        )
        with (folder / "data" / "postgresql.conf").open("a") as configuration:
            configuration.write(
                f"port = {self.port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{folder}'\n"
                f"ssl = on\nssl_cert_file = '{folder}/server.crt'\nssl_key_file = '{folder}/server.key'\n"
                f"ssl_ca_file = '{authority.path}'\nfsync = off\nmax_connections = 300\n"
            )

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.programs / program), *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stdout}{done.stderr}")

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://shop@localhost:{self.port}/{database}"

    def start(self) -> None:
        data, log = self.folder / "data", self.folder / "postgresql.log"
        self._run("pg_ctl", "--pgdata", str(data), "--log", str(log), "--wait", "start", "-s")

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        from django.db import connections

        self.stop()
        try:
            yield
        finally:
            self.start()
            connections.close_all()

    def stop(self) -> None:
        self._run("pg_ctl", "--pgdata", str(self.folder / "data"), "--mode", "immediate", "--wait", "stop", "-s")


Broker = Redis | RabbitMQ | RabbitMQCluster


class Services:
    """Everything that the app's environment names; `environment` is that environment."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="stalk-app-"))
        self.folder.chmod(0o755)
        self.authority = Authority(self.folder / "pki")
        certificate, key = self.authority.leaf("app")
        self.redis = Redis(self.folder / "redis", self.authority)
        self.postgresql = PostgreSQL(self.folder / "postgresql", self.authority)
        self._started: list[PostgreSQL | Broker | RedisBehindSentinel] = [self.redis, self.postgresql]
        self.environment = {
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "DJANGO_SECRET_KEY": "only-in-tests-" + "x" * 50,
            "DJANGO_ALLOWED_HOSTS": "testserver,localhost",
            "DATABASE_URL": self.postgresql.url(),
            "PGSSLMODE": "verify-full",
            "PGSSLROOTCERT": str(self.authority.path),
            "PGSSLCERT": str(certificate),
            "PGSSLKEY": str(key),
            "CELERY_BROKER_URL": self.redis.url,
            "CELERY_RESULT_BACKEND": self.redis.database_url(1),
            "CELERY_TLS_CA": str(self.authority.path),
            "CELERY_TLS_CERT": str(certificate),
            "CELERY_TLS_KEY": str(key),
            "CELERY_SENTINEL_MASTER": MASTER,
            "CELERY_KEY_PREFIX": PREFIX,
            "CELERY_VISIBILITY_TIMEOUT": "3600",
            "CELERY_RESULT_EXPIRES": "3600",
            "CELERY_TASK_ROUTES": json.dumps(ROUTES),
        }

    def start(self) -> None:
        self.redis.start()
        self.postgresql.start()

    @cached_property
    def rabbitmq(self) -> RabbitMQ:
        """Started by the first test that asks for it: that takes longer than the others do together."""
        rabbitmq = RabbitMQ(self.folder / "rabbitmq", self.authority, PASSWORD)
        self._started.append(rabbitmq)
        rabbitmq.start()
        return rabbitmq

    @cached_property
    def rabbitmq_cluster(self) -> RabbitMQCluster:
        cluster = RabbitMQCluster(self.folder / "rabbitmq-cluster", self.authority, PASSWORD)
        self._started.append(cluster)
        cluster.start()
        return cluster

    @cached_property
    def sentinel(self) -> RedisBehindSentinel:
        sentinel = RedisBehindSentinel(self.folder / "sentinel", self.authority, PASSWORD, USER)
        self._started.append(sentinel)
        sentinel.start()
        return sentinel

    def broker(self, name: str) -> Broker:
        broker: Broker = getattr(self, name)
        return broker

    def stop(self) -> None:
        for service in self._started:
            with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired):
                service.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
