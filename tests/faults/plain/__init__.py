"""What most projects run: cookiecutter-django's Celery under systemd, beside Stalk and under the same faults.

Its settings and commands are those of github.com/cookiecutter/cookiecutter-django at 2d3b8809: config/settings/base.py,
and compose/production/django/celery/worker/start, which runs `celery -A config.celery_app worker -l INFO`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from resources.deployment import Deployment
from resources.waiting import wait_for

from ..happening import happen
from ..outcome import Entry, Load, Outcome, entries

FOLDER = Path(__file__).parent
LOAD = (FOLDER / "load.py").read_text()
WORKER, BEAT, REDIS = "celery-worker.service", "celery-beat.service", "redis-server.service"


class Plain(Deployment):
    def __init__(self) -> None:
        super().__init__()
        self.inventory_arguments = [f"--inventory={FOLDER / 'hosts.yml'}"]
        self.app = "plain"

    def create(self) -> None:
        self._succeed("create.yml")

    def destroy(self) -> None:
        self._succeed("destroy.yml")

    def _succeed(self, playbook: str) -> None:
        run = self.play(str(FOLDER / playbook))
        assert run.rc == 0, run.output

    def django(self, code: str) -> str:
        script = f"import django\ndjango.setup()\n{code}\n"
        return self.first("web").run("/srv/plain/in-environment", "python", "-", stdin=script)

    def happen(self, do: Callable[[Deployment], object]) -> Load:
        load = happen(self, LOAD, do)
        if load.failure:
            self.begin_again()
        return load

    def begin_again(self) -> None:
        """As someone does who sees that no task is worked on; nothing in this set-up does it."""
        for server in self.on("worker"):
            server.run("systemctl", "restart", WORKER, BEAT)

    def outcome(self, load: Load, seconds: float) -> Outcome:
        ledger = complete(load, lambda: entries(self, load.prefix), seconds)
        done = {entry.number for entry in ledger if entry.effects}
        return Outcome(load, ledger, held=len(self.held(load) - done))

    def held(self, load: Load) -> set[int]:
        """The tasks that Redis has for later, or as a worker's, which it gives out again an hour after it did."""
        script = "redis-cli LRANGE celery 0 -1; redis-cli HVALS unacked"
        messages = self.first("redis").run("sh", "-c", script)
        return {int(number) for number in re.findall(rf"{load.prefix}-(\d+)", messages)}


def complete(load: Load, read: Callable[[], list[Entry]], seconds: float) -> list[Entry]:
    """What became of the tasks of a load when all took effect, or had time to."""

    def whole() -> list[Entry] | None:
        found = read()
        return found if sum(entry.effects > 0 for entry in found) >= load.count else None

    try:
        return wait_for(f"{load.count} tasks of {load.prefix}", whole, seconds)
    except AssertionError:
        return read()
