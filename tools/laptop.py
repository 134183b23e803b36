"""`make laptop`: runs compose.yaml on this machine; `make laptop-down` removes it with its data.

The variables that compose.yaml takes, and COMPOSE_PROJECT_NAME, are the caller's.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.stalk.celery.plugins.module_utils.secrets_store import (
    SecretError,
    SecretsStore,
    is_generated,
)
from terminal import say

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "compose.yaml"
SECRETS = ROOT / "build" / "laptop" / "secrets"
BUILT = ROOT / ".cache" / "bin" / "docker-compose"
"""What tools/prepare builds where Docker has no `compose`."""


class LaptopFailed(Exception):
    """A message for the person who runs it."""


def make_secrets(project: Mapping[str, Any], folder: Path) -> None:
    """Those that compose.yaml names, each once. Nobody else comes into the folder; in the containers each process reads
    its own, whatever its user."""
    users = flower_users(project)
    store = SecretsStore(folder, users=users)
    texts: Mapping[str, str] = project["x-secrets"]
    for name in project["secrets"]:
        if name in texts:
            continue
        if not is_generated(name, users) and store.existing(name) is None:
            raise LaptopFailed(f"secret {name}: {folder / name} is missing, and Stalk does not make it; write it there")
        store.get(name)
        (folder / name).chmod(0o444)
    for name, text in texts.items():
        write_secret(folder / name, text.format_map({path.name: path.read_text().strip() for path in folder.iterdir()}))


def flower_users(project: Mapping[str, Any]) -> str:
    """The name of the secret with its users; empty without Flower."""
    flower = project["services"].get("flower")
    return str(json.loads(flower["environment"]["FLOWER_OPTIONS_JSON"])["auth"]["secret"]) if flower else ""


def write_secret(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}")
    draft.write_text(f"{text}\n")
    draft.chmod(0o444)
    draft.replace(path)


def compose_command() -> list[str]:
    """The user's own `docker compose` where there is one."""
    if not shutil.which("docker"):
        raise LaptopFailed("docker is missing; install Docker with its plugin `compose`")
    if not subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
        return ["docker", "compose"]
    if not BUILT.exists():
        raise LaptopFailed("`docker compose` is missing; install it, or run `tools/prepare compose`")
    return [str(BUILT)]


def compose(*arguments: str) -> None:
    command = [*compose_command(), "--file", str(FILE), *arguments]
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise LaptopFailed(f"`docker compose {arguments[0]}` failed, see above; `docker compose logs` shows more")


def up(project: Mapping[str, Any]) -> None:
    make_secrets(project, SECRETS)
    say("Building the image")
    compose("build", "--quiet")
    say("Starting compose.yaml")
    compose("up", "--detach", "--wait", "--remove-orphans")
    site = f"http://{project['x-environment']['DJANGO_ALLOWED_HOSTS'].partition(',')[0]}"
    if "web" in project["services"]:
        print(f"\n    Shop     {site}:{os.environ.get('WEB_PORT', '8000')}/")
    if users := flower_users(project):
        where = f"{site}:{os.environ.get('FLOWER_PORT', '5555')}/flower/"
        print(f"    Flower   {where}   user and password: cat {(SECRETS / users).relative_to(ROOT)}")
    print("""    Status   docker compose ps
    Change   `docker compose watch` restarts what a change of the code concerns, after its tasks
    Stop     docker compose stop, which waits for tasks; make laptop-down removes all of it""")


def down() -> None:
    say("Removing the containers of compose.yaml, their data and their secrets")
    compose("down", "--volumes", "--remove-orphans")
    shutil.rmtree(SECRETS.parent, ignore_errors=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["up", "down"])
    action = parser.parse_args(arguments).action
    try:
        if action == "up":
            up(yaml.safe_load(FILE.read_text()))
        else:
            down()
    except (LaptopFailed, SecretError) as error:
        print(f"laptop: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
