"""The action in real runs of Ansible: what files it takes, and what it needs of the control node."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bad_descriptions import INVENTORY, ROOT

ANSIBLE_PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - stalk.celery.stack: {files: "{{ stack_files }}"}
      run_once: true
    - ansible.builtin.debug:
        msg: "{{ lookup('stalk.celery.secret', stack.flower.auth.secret) | regex_replace(':.*') }}"
    - ansible.builtin.debug: {msg: "{{ inventory_hostname }} runs {{ stack.pools | join }} of {{ stack.app.name }}"}
"""


def play(folder: Path, python_path: str = "", **variables: object) -> subprocess.CompletedProcess[str]:
    (folder / "play.yml").write_text(PLAY)
    given = {"stalk_state": str(folder / "state"), **variables}
    ansible = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "PYTHONPATH": python_path}
    return subprocess.run(
        [ANSIBLE_PLAYBOOK, "-i", INVENTORY, "play.yml", "-e", json.dumps(given)],
        cwd=folder,
        env={**os.environ, **ansible},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_host_has_the_fact_and_none_was_contacted(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("app: {name: books}\n")
    (tmp_path / "b.yml").write_text("app: {name: '{{ inventory_hostname }}'}\n")
    run = play(tmp_path, stack_files=["a.yml"])
    assert run.returncode == 0, run.stdout
    for host in ("data1", "worker1", "worker2"):
        assert f"{host} runs default of books" in run.stdout
    assert "app.name: " in play(tmp_path, stack_files=["a.yml", "b.yml"]).stdout


def test_the_first_user_of_flower_is_made_whatever_the_secret_is_called(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("flower: {auth: {secret: people}}\n")
    run = play(tmp_path, stack_files=["a.yml"])
    assert run.returncode == 0, run.stdout
    assert "msg: admin" in run.stdout
    assert [path.name for path in (tmp_path / "state" / "secrets").iterdir()] == ["people"]


def test_a_broker_that_would_begin_anew_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("app: {name: books}\n")
    (tmp_path / "state").mkdir()
    (tmp_path / "state/deployed-books.yml").write_text("hosts:\n  redis: [worker2]\n")
    run = play(tmp_path, stack_files=["a.yml"])
    assert run.returncode != 0
    assert "broker: its data is on worker2 and the group redis names data1; move the data" in run.stdout
    (tmp_path / "state/deployed-books.yml").write_text("hosts: [")
    assert "deployed-books.yml: is no map of lists; mend it" in play(tmp_path, stack_files=["a.yml"]).stdout


def test_one_name_is_a_list_of_one(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("app: {name: books}\n")
    assert play(tmp_path, stack_files="a.yml").returncode == 0


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        (
            {"stack_files": ["nowhere.yml", "../neither.yml"]},
            "nowhere.yml: no such file in FOLDER; correct the name in stack_files",
        ),
        ({"stack_files": []}, "stack_files: names no file; write a list such as [stack.yml]"),
        ({"stack_files": {"a": 1}}, "stack_files: names no file; write a list such as [stack.yml]"),
        ({"stack_files": [5]}, 'stack_files[0]: "5" is no file name; write a list such as [stack.yml]'),
        (
            {"stack_files": ["a.yml"], "stalk_secrets": 5},
            "stalk_secrets: is no map; write `NAME: value` lines under it",
        ),
        (
            {"stack_files": ["a.yml"], "stalk_secrets": {"A": ""}},
            "secret A: stalk_secrets.A is empty; give it a value, or remove it",
        ),
    ],
)
def test_what_it_is_given(tmp_path: Path, variables: dict[str, Any], line: str) -> None:
    (tmp_path / "a.yml").write_text("app: {name: books}\n")
    run = play(tmp_path, **variables)
    assert run.returncode != 0
    assert line.replace("FOLDER", str(tmp_path)) in run.stdout
    assert "Traceback" not in run.stdout + run.stderr


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("app: {name: books}\n")
    (tmp_path / "jsonschema.py").write_text("raise ModuleNotFoundError('gone', name='jsonschema')\n")
    run = play(tmp_path, python_path=str(tmp_path), stack_files=["a.yml"])
    assert "jsonschema: is missing beside Ansible; run `pip install jsonschema` in Ansible's environment" in run.stdout
    assert "Traceback" not in run.stdout + run.stderr
