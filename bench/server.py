"""The container that is measured: made, converged, asked, removed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.report import BUILD, ROOT

HOST = "stalk-bench"
BASE_IMAGE = "stalk-server:bookworm"
INVENTORY = "bench/inventory/hosts.yml"
STATE = ROOT / "bench" / "inventory" / ".stalk"
DESCRIPTION = ("stack.yml", "bench/inventory/server.yml")
SERVERS = "molecule/resources/servers"


START_SECONDS = 60


class BenchFailed(Exception):
    """A message for the person who ran the bench."""


@dataclass(frozen=True)
class Play:
    seconds: float
    changed: int
    output: str


def run(command: Sequence[str], *, text: str | None = None, check: bool = True) -> str:
    """Runs a command on this machine and returns what it printed."""
    done = subprocess.run(command, cwd=ROOT, input=text, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise BenchFailed(
            f"{' '.join(command)[:200]} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}"
        )
    return done.stdout


def inside(*command: str, text: str | None = None, host: str = HOST, check: bool = True) -> str:
    """Runs a command in the container, as root."""
    return run(
        ["docker", "exec", *(["--interactive"] if text is not None else []), host, *command], text=text, check=check
    )


def wait_until(what: str, is_so: Callable[[], bool], seconds: float = START_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise BenchFailed(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.2)


def play(
    playbook: str,
    *,
    files: Sequence[str] = DESCRIPTION,
    variables: dict[str, str] | None = None,
    inventory: str = INVENTORY,
) -> Play:
    """Runs a playbook on an inventory of the bench; how long it took is the time of the whole command."""
    ansible_playbook = str(Path(sys.executable).with_name("ansible-playbook"))
    extra = json.dumps({"stack_files": list(files), **(variables or {})})
    environment = os.environ | {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_CALLBACKS_ENABLED": "profile_tasks"}
    command = [ansible_playbook, "--inventory", inventory, "--extra-vars", extra, playbook]
    started = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - started
    BUILD.mkdir(parents=True, exist_ok=True)
    log = BUILD / "ansible.log"
    with log.open("a") as lines:
        lines.write(f"$ {' '.join(command)}\n{done.stdout}{done.stderr}\n")
    if done.returncode:
        raise BenchFailed(
            f"{playbook} failed, {log.relative_to(ROOT)} has all of it; its end:\n{(done.stdout + done.stderr)[-3000:]}"
        )
    changed = sum(int(count) for count in re.findall(r"changed=(\d+)", done.stdout))
    return Play(seconds, changed, done.stdout)


def create(image: str = BASE_IMAGE) -> None:
    """A fresh container, and a control node that has no CA and no secrets for it."""
    destroy()
    create_container(image)


def create_container(image: str, prefix: str = "") -> None:
    play(f"{SERVERS}/create.yml", variables={"server_image": image, "server_prefix": prefix})


def destroy() -> None:
    play(f"{SERVERS}/destroy.yml")


def is_converged() -> bool:
    return "running" in run(["docker", "ps", "--filter", f"name=^{HOST}$", "--format", "{{.State}}"]) and bool(
        inside("sh", "-c", "systemctl is-active shop.target", check=False).startswith("active")
    )


def ensure_converged() -> None:
    """The deployed server, left by the convergence part or made now."""
    if not is_converged():
        create()
        play("playbooks/site.yml")
