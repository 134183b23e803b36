"""What happens to servers, each fault by itself: it is done, and undone, while tasks flow."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from resources.deployment import Deployment, Server
from resources.releases import release_of
from resources.waiting import wait_for

from . import plain
from .fault import Fault, Scene
from .scarcity import Change, fill_disk, raise_memory_alarm, run_out_of_memory, slow_down_network

Do = Callable[[Deployment], object]

POOL, BEAT = "shop-worker@default.service", "shop-beat.service"
POSTGRESQL = "postgresql@*-main.service"
HOLDER = "SELECT holder FROM celery_ops_beatlease WHERE expires_at > clock_timestamp()"
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
# How long what stands still does.
SECONDS = 20
SECONDS_UNTIL_UP = 120
# After the look at the hosts, and before it is done on an idle machine.
MIDDLE_OF_A_DEPLOYMENT = (10, 60)
RANDOM = random.Random(os.environ.get("STALK_FAULTS_SEED", "stalk"))


@dataclass(frozen=True)
class Broker:
    """Its component has the name of its group; `plain` is its unit in the plain set-up, where it is that one's too.
    `own` are the faults that no other has."""

    name: str
    component: str
    plain: str = ""
    own: tuple[Fault[Deployment], ...] = ()

    def fault(self, what: str, change: Callable[[str], Change], *, short: bool = False) -> Fault[Deployment]:
        """Changes its unit."""
        beside = of(self.component, change(self.plain)) if self.plain else None
        return Fault(f"{self.name} {what}", of(self.component, change(unit_of(self.component))), beside, short)


def unit_of(component: str) -> str:
    return f"shop-{component}.service"


def both(name: str, do: Do, *, short: bool = False) -> Fault[Deployment]:
    """One that is done to both set-ups in the same way."""
    return Fault(name, do, plain=do, short=short)


def docker(*arguments: str) -> None:
    subprocess.run(["docker", *arguments], check=True, capture_output=True)


def of(group: str, change: Change) -> Do:
    """Changes the last host of a group."""
    return lambda deployment: change(deployment.on(group)[-1])


def restart(*units: str) -> Change:
    return lambda server: server.run("systemctl", "restart", *units)


def kill(unit: str) -> Change:
    return lambda server: server.kill(unit)


def postgresql(change: Callable[[str], Change]) -> Do:
    """Changes its unit, whose name has the version."""

    def of_this_version(server: Server) -> None:
        (unit,) = server.units(POSTGRESQL)
        change(unit)(server)

    return of("postgresql", of_this_version)


def fill_disk_of_broker(component: str) -> Do:
    return of(component, fill_disk(unit_of(component), f"/var/lib/shop-{component}"))


def fill_disk_of_postgresql(unit: str) -> Change:
    version = unit.removeprefix("postgresql@").partition("-")[0]
    return fill_disk(unit, f"/var/lib/postgresql/{version}/main")


def kill_children(unit: str) -> Change:
    def kill(server: Server) -> None:
        children = server.run("pgrep", "--parent", server.property(unit, "MainPID")).split()
        server.run("kill", "-KILL", *children)

    return kill


def freeze(unit: str) -> Change:
    def freeze(server: Server) -> None:
        with frozen(server, unit):
            time.sleep(SECONDS)

    return freeze


@contextmanager
def frozen(server: Server, unit: str) -> Iterator[None]:
    server.run("systemctl", "kill", "--signal=STOP", unit)
    try:
        yield
    finally:
        server.run("systemctl", "kill", "--signal=CONT", unit)


def kill_host(server: Server) -> None:
    """Every process at once, and it comes back. What the kernel has not written yet is not lost."""
    docker("kill", server.container)
    time.sleep(SECONDS)
    docker("start", server.container)
    until_up(server)


def until_up(server: Server) -> None:
    ask = ("systemctl", "is-system-running")
    states = ("running", "degraded")
    wait_for(f"{server} is up", lambda: server.attempt(*ask).stdout.strip() in states, SECONDS_UNTIL_UP)


def cut_network(server: Server) -> None:
    """Connections stay half open, as nobody hears that they ended."""
    way_out = server.run("ip", "route", "show", "default").split()
    server.run("ip", "link", "set", "eth0", "down")
    time.sleep(SECONDS)
    server.run("ip", "link", "set", "eth0", "up")
    server.run("ip", "route", "replace", *way_out)


def active_beat(deployment: Deployment) -> Server:
    """The one that holds the lease."""
    ((holder,),) = wait_for("a beat is active", lambda: deployment.sql(HOLDER), SECONDS_UNTIL_UP)
    return next(server for server in deployment.on("beat") if server.name in holder)


def of_active_beat(change: Change) -> Do:
    return lambda deployment: change(active_beat(deployment))


def two_beats(deployment: Deployment) -> None:
    """The active one stands still until the other has its lease, and then goes on as if it had it still."""
    first = active_beat(deployment)
    with frozen(first, BEAT):
        wait_for("the other is active", lambda: active_beat(deployment).name != first.name, SECONDS_UNTIL_UP)


def drain_and_site(deployment: Deployment) -> None:
    succeed(deployment, "drain.yml", "--limit", "worker2")
    succeed(deployment, "site.yml")


def deploy(deployment: Deployment) -> None:
    succeed(deployment, "deploy.yml", changes=release(deployment))


def deploy_twice(deployment: Deployment) -> None:
    """The control node is lost in the middle of the first run."""
    changes = release(deployment)
    run = deployment.begin("deploy.yml", **deployment.changed(changes))
    time.sleep(RANDOM.uniform(*MIDDLE_OF_A_DEPLOYMENT))
    assert run.poll() is None, run.communicate()[0]
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    succeed(deployment, "deploy.yml", changes=changes)


def show_wrong_certificate(deployment: Deployment) -> None:
    """The workers of a host start with one that nobody signed, until site gives them theirs."""
    server = deployment.on("worker")[-1]
    folder = f"/etc/{deployment.app}/pki"
    files = ("-keyout", f"{folder}/worker.key", "-out", f"{folder}/worker.crt")
    server.run("openssl", "req", "-x509", "-nodes", "-days", "1", "-subj", "/CN=worker", *KEY, *files)
    server.run("systemctl", "restart", "--no-block", "shop-worker@*.service")
    time.sleep(SECONDS)
    succeed(deployment, "site.yml")


def release(deployment: Deployment) -> dict[str, Any]:
    version = f"fault-{uuid.uuid4().hex[:8]}"
    return release_of(deployment, deployment.scratch / "releases", version, f"\n# {version}\n")


def reboot(server: Server) -> None:
    server.restart()
    until_up(server)


def succeed(deployment: Deployment, playbook: str, *arguments: str, changes: Mapping[str, Any] | None = None) -> None:
    run = deployment.site_by(playbook, *arguments, changes=changes)
    assert run.rc == 0, run.output


def play(playbook: str) -> Do:
    return lambda deployment: succeed(deployment, playbook)


BROKERS = {
    "redis": Broker("Redis", "redis", plain.REDIS, own=(Fault("Redis' disk is full", fill_disk_of_broker("redis")),)),
    "rabbitmq": Broker(
        "RabbitMQ",
        "rabbitmq",
        own=(
            Fault("RabbitMQ's disk is full", fill_disk_of_broker("rabbitmq")),
            Fault("RabbitMQ raises its memory alarm", of("rabbitmq", raise_memory_alarm)),
        ),
    ),
}


def faults(component: str) -> tuple[Fault[Deployment], ...]:
    """Those of a deployment with this broker."""
    broker = BROKERS[component]
    return (
        both("none", lambda _: time.sleep(SECONDS)),
        Fault("a pool restarts", of("worker", restart(POOL)), plain=of("worker", restart(plain.WORKER)), short=True),
        Fault("a worker is killed", of("worker", kill(POOL)), plain=of("worker", kill(plain.WORKER)), short=True),
        Fault(
            "all children of a worker are killed",
            of("worker", kill_children(POOL)),
            plain=of("worker", kill_children(plain.WORKER)),
            short=True,
        ),
        Fault("a worker freezes", of("worker", freeze(POOL)), plain=of("worker", freeze(plain.WORKER))),
        Fault("the active beat restarts", of_active_beat(restart(BEAT))),
        Fault("the active beat is killed", of_active_beat(kill(BEAT)), short=True),
        Fault("the active beat freezes until another is", two_beats),
        Fault("web is killed", of("web", kill("shop-web.service"))),
        Fault("Flower is killed", of("flower", kill("shop-flower.service"))),
        broker.fault("restarts", restart),
        broker.fault("is killed", kill, short=True),
        broker.fault("freezes", freeze),
        both("PostgreSQL restarts", postgresql(restart)),
        both("PostgreSQL is killed", postgresql(kill), short=True),
        both("a worker's host reboots", of("worker", reboot)),
        both("a worker's host is killed", of("worker", kill_host)),
        both("the data's host is killed", of("postgresql", kill_host)),
        both("a worker's host is cut off", of("worker", cut_network), short=True),
        both("the data's host is cut off", of("postgresql", cut_network)),
        Fault(
            "children of a worker end for want of memory",
            of("worker", run_out_of_memory(POOL)),
            plain=of("worker", run_out_of_memory(plain.WORKER)),
        ),
        *broker.own,
        both("PostgreSQL's disk is full", postgresql(fill_disk_of_postgresql)),
        both("the network of a worker's host is slow", of("worker", slow_down_network)),
        both("the network of the data's host is slow", of("postgresql", slow_down_network)),
        Fault("a release is deployed", deploy, plain=of("worker", restart(plain.WORKER, plain.BEAT)), short=True),
        Fault("it is rolled back", play("rollback.yml")),
        Fault("a deployment is killed, and run again", deploy_twice),
        Fault("a host is drained, and returns", drain_and_site),
        Fault("a worker shows a wrong certificate, until site", show_wrong_certificate),
        Fault("every certificate is renewed", play("rotate_tls.yml")),
        Fault("another CA", play("rotate_ca.yml")),
    )


def scene() -> Scene[Deployment]:
    deployment = Deployment()
    name = {"redis": "servers"}.get(deployment.broker, deployment.broker)
    return Scene(name, faults(deployment.broker), lambda: nullcontext(deployment))
