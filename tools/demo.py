"""`make demo`: deploys stack.yml to a server in a container, places orders and watches them ship."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
import yaml
from requests.adapters import HTTPAdapter

ROOT = Path(__file__).resolve().parent.parent
INVENTORY = ROOT / "inventory" / "demo"
STATE = INVENTORY / ".stalk"
HTTPS_PORT = 8443
ORDERS = 100
SECONDS_WITHOUT_PROGRESS = 120


class DemoFailed(Exception):
    """A message for the person who ran the demo."""


def say(text: str) -> None:
    print(f"\033[1m==>\033[0m {text}", flush=True)


def play(playbook: str) -> None:
    """Runs a playbook on the demo's inventory; its output goes to the terminal."""
    ansible_playbook = str(Path(sys.executable).with_name("ansible-playbook"))
    command = [ansible_playbook, "--inventory", str(INVENTORY), playbook]
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise DemoFailed(f"{playbook} failed, see the last lines above; mend that and run `make demo` again")


class ToServer(HTTPAdapter):
    """Connects to an address and checks the certificate there for `host`, as a browser that resolved it."""

    def __init__(self, host: str) -> None:
        self.host = host
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, server_hostname=self.host, assert_hostname=self.host, **kwargs)


class Shop:
    """The shop's pages, visited over HTTPS as a browser would."""

    def __init__(
        self, host: str, ca: Path = STATE / "pki" / "ca.crt", server: str = "127.0.0.1", port: int = HTTPS_PORT
    ) -> None:
        authority = host if port == 443 else f"{host}:{port}"
        self.address = f"https://{authority}"
        self.root = f"https://{server}:{port}"
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(ca)
        self.session.headers["Host"] = authority
        self.session.mount(self.root, ToServer(host))

    def place_orders(self, count: int) -> str:
        """Places `count` orders through the form and returns the name of the batch."""
        self.session.get(f"{self.root}/", timeout=30).raise_for_status()
        answer = self.session.post(
            f"{self.root}/orders/",
            data={"count": count, "csrfmiddlewaretoken": self.session.cookies["csrftoken"]},
            headers={"Origin": self.address, "Referer": f"{self.address}/"},
            allow_redirects=False,
            timeout=60,
        )
        if answer.status_code != 302:
            raise DemoFailed(
                f"the shop answered {answer.status_code} to the order form; `make demo-status` may tell why"
            )
        return parse_qs(urlsplit(answer.headers["Location"]).query)["batch"][0]

    def progress(self, batch: str) -> dict[str, Any]:
        answer = self.session.get(f"{self.root}/orders.json", params={"batch": batch}, timeout=30)
        answer.raise_for_status()
        progress: dict[str, Any] = answer.json()
        return progress


def watch(shop: Shop, batch: str) -> dict[str, Any]:
    """Shows the batch until every order is through, and fails when nothing moves any more."""
    last, moved_at = None, time.monotonic()
    while True:
        now = shop.progress(batch)
        counts = tuple(now[step] for step in ("charged", "shipped", "notified"))
        if counts != last:
            last, moved_at = counts, time.monotonic()
            print(
                "    charged {:>3}   shipped {:>3}   notified {:>3}   of {}".format(*counts, now["total"]), flush=True
            )
        if now["shipped"] == now["notified"] == now["total"]:
            return now
        if time.monotonic() - moved_at > SECONDS_WITHOUT_PROGRESS:
            raise DemoFailed(
                f"no order moved for {SECONDS_WITHOUT_PROGRESS} s; `make demo-status` shows which part stands still"
            )
        time.sleep(0.5)


def up() -> None:
    host = yaml.safe_load((ROOT / "stack.yml").read_text())["web"]["host"]
    say("Starting the server stalk-demo, a container with systemd")
    play("molecule/resources/servers/create.yml")
    say("Deploying stack.yml to it: playbooks/site.yml")
    play("playbooks/site.yml")
    shop = Shop(host)
    say(f"Placing {ORDERS} orders at {shop.address}")
    progress = watch(shop, shop.place_orders(ORDERS))
    say(f"{progress['shipped']} of {progress['total']} orders shipped. What ran where:")
    for step, workers in progress["by_worker"].items():
        for worker, count in sorted(workers.items()):
            print(f"    {step:<8} {count:>4}  {worker}")
    users = (STATE / "secrets" / "flower-users").relative_to(ROOT)
    print(f"""
    Shop     {shop.address}/
    Flower   {shop.address}/flower/   user and password: cat {users}
    Trust    import {(STATE / "pki" / "ca.crt").relative_to(ROOT)} into your browser, or accept its warning
    Status   make demo-status
    Change   edit stack.yml (add, remove or resize a pool) and run `make demo` again
    Stop     make demo-down""")


def down() -> None:
    say("Removing the server stalk-demo, its network and its secrets")
    play("molecule/resources/servers/destroy.yml")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["up", "down"])
    action = parser.parse_args().action
    os.chdir(ROOT)
    try:
        {"up": up, "down": down}[action]()
    except (DemoFailed, requests.RequestException) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
