"""Releases of the sample app that a test makes, and which one a host has."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from resources.deployment import Deployment, Server

# It imports, and its workers end as they start.
ENDS_AT_ONCE = """
from celery.signals import worker_init

@worker_init.connect
def end(**_):
    raise SystemExit("this release ends at once")
"""

AS_BEAT = ENDS_AT_ONCE.replace("worker_init", "beat_init")


def release_of(deployment: Deployment, folder: Path, version: str, lines: str) -> dict[str, Any]:
    """The description of a release that is made in this folder, and whose config/celery.py ends with these lines."""
    project = folder / version
    shutil.copytree(deployment.root / "sample_app", project, ignore=shutil.ignore_patterns("tests", "__pycache__"))
    with (project / "config" / "celery.py").open("a") as celery:
        celery.write(lines)
    return {"app": {"servers": {"source": str(project), "version": version}}}


def current_on(deployment: Deployment, server: Server) -> str:
    return Path(server.run("readlink", f"/srv/{deployment.app}/current").strip()).name


def run_by(deployment: Deployment, server: Server, unit: str) -> str:
    """The release that a unit's process runs."""
    folder = server.run("readlink", f"/proc/{server.property(unit, 'MainPID')}/cwd").strip()
    return Path(folder).relative_to(f"/srv/{deployment.app}/releases").parts[0]
