"""`make processes`: runs what compose.yaml describes as processes of this machine, without containers, until Ctrl-C.

Broker and database are those that the sample app's tests start, with TLS; they forget all when it ends.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from laptop import FILE, ROOT, SECRETS, LaptopFailed, make_secrets
from terminal import say

PYTHON = ROOT / ".venv-app" / "bin"
FIRST = "migrations"


class Services:
    """Broker and database, in a process of the app's tests."""

    def __init__(self, broker: str) -> None:
        self.process = subprocess.Popen(
            [PYTHON / "python", "-m", "tests.run_services", broker],
            cwd=ROOT / "sample_app",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout
        if not (told := self.process.stdout.readline()):
            raise LaptopFailed("the broker or the database does not start, see above")
        self.environment: dict[str, str] = json.loads(told)

    def stop(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


class Service:
    """One of compose.yaml's that runs the project."""

    def __init__(self, name: str, description: Mapping[str, Any], folder: Path) -> None:
        self.name = name
        self.description = description
        # What it has of its own at /run/stalk.
        self.folder = folder / name
        self.folder.mkdir()
        self.places = {"/run/stalk": str(self.folder)}
        for source, place in (volume.split(":")[:2] for volume in description["volumes"]):
            self.places[place] = str((ROOT / source).resolve())
        self.process: subprocess.Popen[str] | None = None

    def here(self, text: str) -> str:
        """As it is outside of a container: paths, addresses, and `$` once."""
        for place, path in self.places.items():
            text = text.replace(f"{place}/", f"{path}/")
        return (
            text.replace("0.0.0.0:", "127.0.0.1:").replace('"address": ""', '"address": "127.0.0.1"').replace("$$", "$")
        )

    def start(self, environment: Mapping[str, str]) -> subprocess.Popen[str]:
        own = {name: self.here(text) for name, text in self.description["environment"].items()}
        # A key prefix is what the broker's user may touch.
        kept = {name: environment[name] for name in ("CELERY_KEY_PREFIX", "PATH")}
        self.process = subprocess.Popen(
            [self.here(word) for word in self.description["command"]],
            cwd=self.places[self.description["working_dir"]],
            env={**environment, **own, **kept, "CREDENTIALS_DIRECTORY": str(SECRETS)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # Ctrl-C is for this tool, which lets each end its tasks.
            start_new_session=True,
        )
        threading.Thread(target=self.show, args=(self.process,), daemon=True).start()
        return self.process

    def show(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout
        for line in process.stdout:
            print(f"{self.name:<16} {line}", end="", flush=True)


def services_of(project: Mapping[str, Any], folder: Path) -> list[Service]:
    """In the order of the file, where the migrations come first."""
    return [
        Service(name, description, folder)
        for name, description in project["services"].items()
        if "working_dir" in description
    ]


def run(project: Mapping[str, Any], environment: Mapping[str, str], folder: Path) -> int:
    """Until the first ends, or a signal comes; then all end, after their tasks."""
    running: dict[int, Service] = {}
    ended = ""
    try:
        for service in services_of(project, folder):
            process = service.start(environment)
            running[process.pid] = service
            if service.name == FIRST:
                status = process.wait()
                del running[process.pid]
                if status:
                    raise LaptopFailed("the migrations failed, see above")
        say("The shop is at http://localhost:8000/, Flower at http://localhost:5555/flower/; Ctrl-C ends all")
        while not ended:
            pid, status = os.wait()
            if pid in running:
                ended = f"{running.pop(pid).name} ended with {os.waitstatus_to_exitcode(status)}"
    except KeyboardInterrupt:
        say("Ending all, after their tasks; Ctrl-C again kills them")
    return end(running, ended)


def end(running: Mapping[int, Service], ended: str) -> int:
    processes = [service.process for service in running.values() if service.process]
    try:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()
    except KeyboardInterrupt:
        for process in processes:
            os.killpg(process.pid, signal.SIGKILL)
    if ended:
        raise LaptopFailed(f"{ended}, see above")
    return 0


def main() -> int:
    project = yaml.safe_load(FILE.read_text())
    for asked in (signal.SIGINT, signal.SIGTERM):
        signal.signal(asked, signal.default_int_handler)
    try:
        make_secrets(project, SECRETS)
        services = Services("rabbitmq" if "rabbitmq" in project["services"] else "redis")
        try:
            with tempfile.TemporaryDirectory(prefix="stalk-") as folder:
                path = f"{PYTHON}:{os.environ['PATH']}"
                return run(project, {**os.environ, **services.environment, "PATH": path}, Path(folder))
        finally:
            services.stop()
    except LaptopFailed as error:
        print(f"processes: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
