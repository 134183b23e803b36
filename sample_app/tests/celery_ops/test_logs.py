"""What the processes of the app log, and where to."""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from celery_ops.correlation import correlated
from celery_ops.logs import SharedFile
from tests.celery_ops.tasks import fails_at_closed_gate, tells
from tests.conftest import worker_arguments
from tests.gate import Gate
from tests.processes import APP_FOLDER, Process
from tests.services import Services
from tests.waiting import until

WRITERS, ROTATIONS = 3, 4
WRITER = """
import itertools, logging, os, sys, django
django.setup()
logger = logging.getLogger("shop")
name, end = sys.argv[1:]
for number in itertools.count(1):
    logger.info("%s-%s %s", name, number, "x" * 20_000)
    if os.path.exists(end):
        break
print(number)
"""


def lines_of(*files: Path) -> list[dict[str, Any]]:
    """Fails at a line that is no JSON, or not whole."""
    return [json.loads(line) for file in files for line in file.read_text().splitlines() if line.strip()]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("empty_broker")
def test_each_line_of_a_worker_is_an_object_with_task_and_correlation_id(
    gate: Gate, start_celery: Callable[..., Process], tmp_path: Path
) -> None:
    file = tmp_path / "worker.json"
    worker = start_celery("worker", *worker_arguments(), LOG_FORMAT="json", LOG_FILE=str(file))
    worker.until_consuming()
    with correlated("c-1"):
        told = tells.delay(path=str(gate.path), text="one", retries=0)
        failed = fails_at_closed_gate.delay(str(gate.path), "a secret")
    until(lambda: "raised unexpected" in file.read_text() and "told by" in file.read_text())
    lines = lines_of(file)
    line = next(line for line in lines if line["message"] == "told by one")
    told_of = {name: line[name] for name in ("level", "logger", "task_name", "task_id", "correlation_id")}
    assert told_of == {
        "level": "INFO",
        "logger": "tests.celery_ops.tasks",
        "task_name": tells.name,
        "task_id": told.id,
        "correlation_id": "c-1",
    }
    received = next(line for line in lines if line["message"].endswith(f"[{failed.id}] received"))
    assert (received["task_id"], received["correlation_id"]) == (failed.id, "c-1")
    failure = next(line for line in lines if "raised unexpected" in line["message"])
    assert "in fail_until_open" in failure["exc_info"]
    assert all({"time", "level", "process_name", "pid", "message"} <= set(line) for line in lines)
    assert all(line["correlation_id"] == "" for line in lines if not line["task_id"])
    assert "args" not in "".join(key for line in lines for key in line)


def test_processes_share_a_file_that_is_rotated_while_they_write(services: Services, tmp_path: Path) -> None:
    file = tmp_path / "shop.json"
    environment = services.environment | {"LOG_FORMAT": "json", "LOG_FILE": str(file)}
    end = tmp_path / "end"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(number), str(end)],
            cwd=APP_FOLDER,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(WRITERS)
    ]
    try:
        for number in range(ROTATIONS):
            until(lambda: file.exists() and file.stat().st_size > 1_000_000)
            file.rename(f"{file}.{number}")
    finally:
        end.touch()
    counts = [int(writer.communicate(timeout=60)[0]) for writer in writers]
    written = [line["message"].split()[0] for line in lines_of(*tmp_path.glob("shop.json*"))]
    assert sorted(written) == sorted(
        f"{writer}-{number}" for writer, count in enumerate(counts) for number in range(1, count + 1)
    )


def test_a_file_that_cannot_be_opened_anew_fails_nobody_who_logs(tmp_path: Path) -> None:
    file = tmp_path / "log"
    handler = SharedFile(file)
    file.unlink()
    tmp_path.joinpath("log").mkdir()
    with contextlib.closing(handler):
        handler.emit(logging.makeLogRecord({"msg": "a line"}))


def test_json_without_its_package_is_refused(services: Services) -> None:
    code = "import sys; sys.modules['pythonjsonlogger'] = None; import django; django.setup()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=APP_FOLDER,
        env=services.environment | {"LOG_FORMAT": "json"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.splitlines()[-1].endswith(
        "LOG_FORMAT: json needs the package python-json-logger; add it to requirements.txt, or set line"
    )
