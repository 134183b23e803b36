"""The chart's script that migrates a database and waits for one, on a project of Django with a real database."""

from __future__ import annotations

import os
import subprocess
import textwrap
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "helm" / "stalk" / "files" / "app" / "migrations.py"
PYTHON = ROOT / ".venv-app" / "bin" / "python"
SECONDS = 60

SETTINGS = """
    from pathlib import Path
    SECRET_KEY = "x"
    INSTALLED_APPS = ["django.contrib.contenttypes"]
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": Path(__file__).parent / "data" / "db"}}
    with Path(__file__).with_name("imports").open("a") as imports:
        imports.write("settings were imported\\n")
"""
REFUSED = """
    from django.core.exceptions import ImproperlyConfigured
    raise ImproperlyConfigured("DATABASE_URL: missing")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose database does not open until its folder `data` exists."""
    (tmp_path / "settings.py").write_text(textwrap.dedent(SETTINGS))
    return tmp_path


def start(project: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [PYTHON, "-u", SCRIPT, *arguments],
        cwd=project,
        env={"DJANGO_SETTINGS_MODULE": "settings", "PATH": os.environ["PATH"]} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ends(process: subprocess.Popen[str]) -> tuple[int, str]:
    said, _ = process.communicate(timeout=SECONDS)
    return process.returncode, said


def wait_until_it_looks(project: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + SECONDS
    while not (project / "imports").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_who_waits_says_for_what_once_and_ends_when_another_has_migrated(project: Path) -> None:
    waiting = start(project, "await")
    assert waiting.stdout
    assert waiting.stdout.readline() == "The database does not answer: unable to open database file; waiting\n"
    (project / "data").mkdir()
    status, said = ends(start(project, "apply"))
    assert (status, "Applying contenttypes" in said) == (0, True)
    status, said = ends(waiting)
    lines = said.splitlines()
    assert (status, len(lines)) == (0, len(set(lines)))


def test_who_migrates_waits_until_the_database_answers(project: Path) -> None:
    applying = start(project, "apply")
    wait_until_it_looks(project, applying)
    (project / "data").mkdir()
    assert ends(applying)[0] == 0
    assert ends(start(project, "await")) == (0, "")
    # Once for each process, however often it looked.
    assert len((project / "imports").read_text().splitlines()) == 2


def gives_up(project: Path, argument: str) -> tuple[int, str]:
    """The end of the script, which has no patience."""
    code = "import migrations, sys; migrations.SECONDS = 0; migrations.main()"
    done = subprocess.run(
        [PYTHON, "-c", code, argument],
        cwd=project,
        env={"DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(SCRIPT.parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("argument", ["apply", "await"])
def test_it_says_that_the_database_does_not_answer(project: Path, argument: str) -> None:
    assert gives_up(project, argument) == (1, "The database does not answer: unable to open database file\n")


def test_it_says_that_migrations_are_missing(project: Path) -> None:
    (project / "data").mkdir()
    assert gives_up(project, "await") == (1, "The database lacks migrations\n")


def test_settings_that_are_refused_end_it_at_once_in_their_words(project: Path) -> None:
    (project / "settings.py").write_text(textwrap.dedent(REFUSED))
    assert ends(start(project, "await")) == (1, "DATABASE_URL: missing\n")


def test_who_migrates_early_leaves_it_to_others_while_no_database_answers(project: Path) -> None:
    status, said = ends(start(project, "early"))
    assert (status, "left to the release" in said) == (0, True)


def test_who_migrates_early_leaves_it_to_others_while_there_is_no_certificate(project: Path) -> None:
    (project / "settings.py").write_text(textwrap.dedent(REFUSED))
    status, said = ends(start(project, "early", CELERY_TLS_CA=str(project / "ca.crt")))
    assert (status, "left to the release" in said) == (0, True)


def test_who_migrates_early_does_so_where_a_database_answers(project: Path) -> None:
    (project / "data").mkdir()
    assert ends(start(project, "early"))[0] == 0
    assert ends(start(project, "await")) == (0, "")
