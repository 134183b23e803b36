"""What a developer sees of compose.yaml on real containers."""

from __future__ import annotations

import json
import threading

import requests
from resources.waiting import wait_for
from storefront import watch

from tests.laptop.containers import Laptop, docker

ORDERS = 20
TASK = "from shop.tasks import record_effect; record_effect.delay_on_commit('stopped', 30)"
LEDGER = "SELECT starts, effects FROM shop_ledgerentry WHERE key = 'stopped'"


def test_orders_ship(laptop: Laptop) -> None:
    shop = laptop.shop()
    progress = watch(shop, shop.place_orders(ORDERS))
    assert progress["shipped"] == ORDERS
    pools = {step: {worker.partition("@")[0] for worker in workers} for step, workers in progress["by_worker"].items()}
    assert pools == {"charge": {"high"}, "ship": {"default"}, "notify": {"io"}}


def test_a_stop_waits_for_the_task_that_runs(laptop: Laptop) -> None:
    laptop.python(TASK)
    wait_for("the task has begun", lambda: laptop.sql(LEDGER) == "1|0")
    laptop.compose("stop", "worker-default")
    assert laptop.sql(LEDGER) == "1|1"
    laptop.compose("up", "--detach", "--wait", "worker-default")


def test_no_order_is_lost_when_broker_and_database_restart(laptop: Laptop) -> None:
    shop = laptop.shop()
    batch = shop.place_orders(ORDERS)
    restart = threading.Thread(target=laptop.compose, args=("restart", laptop.broker, "postgresql"))
    restart.start()
    progress = watch(shop, batch)
    restart.join()
    assert progress["notified"] == ORDERS


def test_flower_asks_for_a_login(laptop: Laptop) -> None:
    flower = f"http://127.0.0.1:{laptop.port('flower', 5555)}/flower"
    for page in ("workers", "tasks", "api/workers"):
        assert requests.get(f"{flower}/{page}", timeout=10).status_code == 401, page
    user, _, password = (laptop.secrets / "flower-users").read_text().strip().partition(":")

    def known() -> set[str]:
        answer = requests.get(f"{flower}/api/workers", params={"refresh": "1"}, auth=(user, password), timeout=30)
        return {name.partition("@")[0] for name in answer.json()} if answer.ok else set()

    wait_for("Flower knows every worker", lambda: known() == {"default", "high", "io", "reports"})


def test_nobody_is_root_and_nothing_but_web_and_flower_listens_outside(laptop: Laptop) -> None:
    listening = {}
    for container in json.loads(docker("inspect", *laptop.containers())):
        service = container["Config"]["Labels"]["com.docker.compose.service"]
        assert container["Config"]["User"] in ("10001:10001", "999:999"), service
        published = [place for places in container["NetworkSettings"]["Ports"].values() for place in places or ()]
        if published:
            listening[service] = {place["HostIp"] for place in published}
    assert listening == {"web": {"127.0.0.1"}, "flower": {"127.0.0.1"}}


def test_no_secret_is_in_what_docker_tells(laptop: Laptop) -> None:
    told = docker("inspect", *laptop.containers())
    secrets = {path.name: path.read_text().strip() for path in laptop.secrets.iterdir()}
    assert [name for name, text in secrets.items() if text in told] == []


def test_it_is_taken_down_with_nothing_left(laptop: Laptop) -> None:
    laptop.compose("down", "--volumes", "--remove-orphans")
    assert laptop.containers() == []
    of_project = ("--quiet", "--filter", "label=com.docker.compose.project=stalk-laptop")
    assert docker("volume", "ls", *of_project) == docker("network", "ls", *of_project) == ""
