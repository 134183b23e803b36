"""What happens to servers, each fault by itself: it is done, and undone, while tasks flow."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from resources.deployment import Deployment, Server
from resources.releases import release_of
from resources.waiting import wait_for

Do = Callable[[Deployment], object]
Change = Callable[[Server], object]

POOL, BEAT = "shop-worker@default.service", "shop-beat.service"
HOLDER = "SELECT holder FROM celery_ops_beatlease WHERE expires_at > clock_timestamp()"
# How long what stands still does.
SECONDS = 20
SECONDS_UNTIL_UP = 120
# After the look at the hosts, and before it is done on an idle machine.
MIDDLE_OF_A_DEPLOYMENT = (10, 60)
RANDOM = random.Random(os.environ.get("STALK_FAULTS_SEED", "stalk"))


@dataclass(frozen=True)
class Fault:
    name: str
    do: Do


def docker(*arguments: str) -> None:
    subprocess.run(["docker", *arguments], check=True, capture_output=True)


def of(group: str, change: Change) -> Do:
    """Changes the last host of a group."""
    return lambda deployment: change(deployment.on(group)[-1])


def restart(unit: str) -> Change:
    return lambda server: server.run("systemctl", "restart", unit)


def kill(unit: str) -> Change:
    return lambda server: server.kill(unit)


def kill_children(server: Server) -> None:
    children = server.run("pgrep", "--parent", server.property(POOL, "MainPID")).split()
    server.run("kill", "-KILL", *children)


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
    succeed(deployment, "deploy.yml", changes=release(deployment, "new"))


def deploy_twice(deployment: Deployment) -> None:
    """The control node is lost in the middle of the first run."""
    changes = release(deployment, f"interrupted-{uuid.uuid4().hex[:4]}")
    run = deployment.begin("deploy.yml", **deployment.changed(changes))
    time.sleep(RANDOM.uniform(*MIDDLE_OF_A_DEPLOYMENT))
    assert run.poll() is None, run.communicate()[0]
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    succeed(deployment, "deploy.yml", changes=changes)


def release(deployment: Deployment, version: str) -> dict[str, Any]:
    folder = deployment.scratch / "releases"
    shutil.rmtree(folder / version, ignore_errors=True)
    return release_of(deployment, folder, version, f"\n# {version}\n")


def reboot(server: Server) -> None:
    server.restart()
    until_up(server)


def succeed(deployment: Deployment, playbook: str, *arguments: str, changes: Mapping[str, Any] | None = None) -> None:
    run = deployment.site_by(playbook, *arguments, changes=changes)
    assert run.rc == 0, run.output


def play(playbook: str) -> Do:
    return lambda deployment: succeed(deployment, playbook)


FAULTS = (
    Fault("none", lambda _: time.sleep(SECONDS)),
    Fault("a pool restarts", of("worker", restart(POOL))),
    Fault("a worker is killed", of("worker", kill(POOL))),
    Fault("all children of a worker are killed", of("worker", kill_children)),
    Fault("a worker freezes", of("worker", freeze(POOL))),
    Fault("the active beat restarts", of_active_beat(restart(BEAT))),
    Fault("the active beat is killed", of_active_beat(kill(BEAT))),
    Fault("the active beat freezes until another is", two_beats),
    Fault("web is killed", of("web", kill("shop-web.service"))),
    Fault("Flower is killed", of("flower", kill("shop-flower.service"))),
    Fault("Redis restarts", of("redis", restart("shop-redis.service"))),
    Fault("Redis is killed", of("redis", kill("shop-redis.service"))),
    Fault("Redis freezes", of("redis", freeze("shop-redis.service"))),
    Fault("PostgreSQL restarts", of("postgresql", restart("postgresql@15-main.service"))),
    Fault("PostgreSQL is killed", of("postgresql", kill("postgresql@15-main.service"))),
    Fault("a worker's host reboots", of("worker", reboot)),
    Fault("a worker's host is killed", of("worker", kill_host)),
    Fault("the data's host is killed", of("redis", kill_host)),
    Fault("a worker's host is cut off", of("worker", cut_network)),
    Fault("the data's host is cut off", of("redis", cut_network)),
    Fault("a release is deployed", deploy),
    Fault("it is rolled back", play("rollback.yml")),
    Fault("a deployment is killed, and run again", deploy_twice),
    Fault("a host is drained, and returns", drain_and_site),
    Fault("every certificate is renewed", play("rotate_tls.yml")),
    Fault("another CA", play("rotate_ca.yml")),
)
