"""The collection builds, and its playbooks run from the archive alone, outside of a checkout."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
INVENTORY = """
all:
  vars: {ansible_connection: local, stack_files: [STACK]}
  children:
    {redis: {hosts: {one: }}, postgresql: {hosts: {one: }}, web: {hosts: {one: }},
     worker: {hosts: {one: }}, beat: {hosts: {one: }}, flower: {hosts: {one: }}}
"""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has the installed collection and nothing of the checkout."""
    folder = tmp_path_factory.mktemp("installed")
    galaxy = [str(BIN / "ansible-galaxy"), "collection"]
    subprocess.run(
        [*galaxy, "build", "--output-path", str(folder), str(ROOT)], check=True, cwd=folder, capture_output=True
    )
    (archive,) = folder.glob("stalk-celery-*.tar.gz")
    install = [*galaxy, "install", "--no-deps", "--collections-path", str(folder / "collections"), str(archive)]
    subprocess.run(install, check=True, cwd=folder, capture_output=True)
    return folder


def ansible_playbook(folder: Path, stack: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "stack.yml").write_text(stack)
    (folder / "hosts.yml").write_text(INVENTORY.replace("STACK", str(folder / "stack.yml")))
    return subprocess.run(
        [str(BIN / "ansible-playbook"), "--inventory", "hosts.yml", *arguments],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_archive_holds_no_state_and_nothing_that_needs_a_checkout(elsewhere: Path) -> None:
    installed = elsewhere / "collections" / "ansible_collections" / "stalk" / "celery"
    paths = {path.relative_to(installed).as_posix() for path in installed.rglob("*")}
    assert {"playbooks/site.yml", "helm/stalk/values.yaml", "sample_app/manage.py"} <= paths
    of_a_checkout = ("bench", "molecule", "tests", "tools", ".")
    assert not {path for path in paths if ".stalk" in path or path.startswith(of_a_checkout)}


def test_a_good_description_is_read_with_the_defaults_and_the_app_of_the_archive(elsewhere: Path) -> None:
    run = ansible_playbook(elsewhere, "app: {name: shop}\n", "stalk.celery.description")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "failed=0" in run.stdout


def test_a_bad_description_is_refused_before_any_host_is_contacted(elsewhere: Path) -> None:
    run = ansible_playbook(elsewhere, "poools: {}\n", "stalk.celery.site")
    assert run.returncode != 0
    assert "poools: unknown key; did you mean pools?" in run.stdout + run.stderr
    assert "Private CA" not in run.stdout


@pytest.mark.parametrize("playbook", ["site", "status", "dead_letters"])
def test_every_task_of_a_playbook_resolves(elsewhere: Path, playbook: str) -> None:
    run = ansible_playbook(elsewhere, "app: {name: shop}\n", f"stalk.celery.{playbook}", "--list-tasks")
    assert run.returncode == 0, run.stdout + run.stderr
