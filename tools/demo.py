"""`make demo`: deploys stack.yml to a server in a container, places orders and watches them ship."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import requests
import yaml
from storefront import Shop, ShopFailed, order_and_report
from terminal import say

ROOT = Path(__file__).resolve().parent.parent
INVENTORY = ROOT / "inventory" / "demo"
STATE = INVENTORY / ".stalk"
HTTPS_PORT = 8443


class DemoFailed(Exception):
    """A message for the person who ran the demo."""


def play(playbook: str) -> None:
    """Runs a playbook on the demo's inventory; its output goes to the terminal."""
    ansible_playbook = str(Path(sys.executable).with_name("ansible-playbook"))
    command = [ansible_playbook, "--inventory", str(INVENTORY), playbook]
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise DemoFailed(f"{playbook} failed, see the last lines above; mend that and run `make demo` again")


def up() -> None:
    host = yaml.safe_load((ROOT / "stack.yml").read_text())["web"]["host"]
    say("Starting the server stalk-demo, a container with systemd")
    play("molecule/resources/servers/create.yml")
    say("Deploying stack.yml to it: playbooks/site.yml")
    play("playbooks/site.yml")
    shop = Shop(host, STATE / "pki" / "ca.crt", "127.0.0.1", HTTPS_PORT)
    order_and_report(shop, shop.address)
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
    except DemoFailed as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except (ShopFailed, requests.RequestException) as error:
        print(f"demo: {error}; `make demo-status` shows which part stands still", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
