"""Another project, as Django makes it, takes celery_ops over as its README says."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connection

from tests.ports import free_port
from tests.processes import APP_FOLDER, Process
from tests.services import Services
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_broker")]

README = APP_FOLDER / "celery_ops/README.md"
DATABASE = "parcels"
TASKS = """
from pathlib import Path

from celery import shared_task
from celery_ops.outbox import OutboxTask

@shared_task(base=OutboxTask)
def send_parcel(file):
    Path(file).write_text("sent")
"""
PUBLISH = """
from django.db import transaction
from parcels.tasks import send_parcel
with transaction.atomic():
    send_parcel.delay_on_commit({file!r})
"""


def snippets(title: str) -> list[str]:
    """The code below that heading of the README."""
    section = README.read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]
    return [part.partition("\n")[2] for part in section.split("```")[1::2]]


class Project:
    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.run("django", "startproject", "mail", ".")
        shutil.copytree(APP_FOLDER / "celery_ops", folder / "celery_ops", ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "parcels").mkdir()
        (folder / "parcels/__init__.py").touch()
        (folder / "parcels/tasks.py").write_text(TASKS)

    def add(self, file: str, text: str) -> None:
        with (self.folder / file).open("a") as settings:
            settings.write(f"\n{text}")

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def manage(self, *arguments: str) -> str:
        return self.run("django", *arguments)


@pytest.fixture
def project(services: Services, tmp_path: Path) -> Iterator[Project]:
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {DATABASE}")
    folder = tmp_path / "project"
    folder.mkdir()
    changes = {
        "DATABASE_URL": services.postgresql.url(DATABASE),
        "DJANGO_SETTINGS_MODULE": "mail.settings",
        "PYTHONPATH": str(folder),
    }
    routes_of_shop = ("CELERY_TASK_ROUTES",)
    yield Project(folder, {k: v for k, v in services.environment.items() if k not in routes_of_shop} | changes)
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


@pytest.fixture
def start(project: Project, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def start(name: str, *arguments: str) -> Process:
        process = Process(
            name, [name, *arguments], project.environment, tmp_path, app="celery_ops.celery", project=project.folder
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.close()


@pytest.fixture
def web(project: Project) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", f"--bind=127.0.0.1:{port}", "mail.wsgi"]
    process = subprocess.Popen(command, cwd=project.folder, env=project.environment)
    yield f"http://localhost:{port}"
    process.terminate()
    process.wait(20)


def test_two_lines_of_settings_are_enough(
    project: Project, start: Callable[..., Process], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    two_lines, from_environment, urls = snippets("Adopt it")[:3]
    assert len(two_lines.split("\n\n")) == 2
    project.add("mail/settings.py", two_lines)
    project.add("mail/settings.py", 'INSTALLED_APPS += ["parcels"]\n')
    project.add("mail/settings.py", from_environment)
    project.add("mail/urls.py", urls)
    assert "No changes detected" in project.manage("makemigrations", "--check", "--dry-run")
    project.manage("migrate")
    worker = start("worker", "--loglevel=INFO", "--concurrency=1")
    worker.until_consuming()
    sent = tmp_path / "sent"
    project.manage("shell", "-c", PUBLISH.format(file=str(sent)))
    until(sent.exists, why=f"the task ran; {worker.log}")
    assert "parcels.tasks.send_parcel" in worker.log
    beat = start("beat", "--loglevel=INFO")
    beat.until_beating(lambda heart: bool(heart["active"]))
    web = request.getfixturevalue("web")
    until(lambda: answer(f"{web}/healthz"), why="the web answers")
    assert answer(f"{web}/healthz") == {"status": "ok"}
    assert answer(f"{web}/readyz") == {"status": "ok", "unreachable": []}
    assert worker.stop() == beat.stop() == 0


def answer(url: str) -> dict[str, object]:
    try:
        with urllib.request.urlopen(url, timeout=20) as response:
            assert response.headers["X-Request-ID"]
            content: dict[str, object] = json.load(response)
            return content
    except OSError:
        return {}
