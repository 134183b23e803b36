"""Who tells at the end of site.yml what waits, by its own expression in a real run of Ansible."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from bad_descriptions import ROOT

ANSIBLE_PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
INVENTORY = "redis: {hosts: {data1: }}\nworker: {hosts: {worker1: }}\nexternal: {hosts: {worker2: }}\n"


@pytest.mark.parametrize(
    ("kind", "component", "host"), [("valkey", "redis", "data1"), ("external", "external", "worker1")]
)
def test_an_external_broker_is_asked_by_workers_whatever_groups_are_called(
    tmp_path: Path, kind: str, component: str, host: str
) -> None:
    plays = yaml.safe_load((ROOT / "playbooks/what_waits.yml").read_text())
    counting = next(play["vars"]["site_counting"] for play in plays if play["name"] == "What waits")
    task = {"ansible.builtin.debug": {"msg": "{{ site_counting }}"}, "run_once": True}
    play = {"hosts": "all", "gather_facts": False, "vars": {"site_counting": counting}, "tasks": [task]}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    (tmp_path / "hosts.yml").write_text(INVENTORY)
    stack = {"stack": {"broker": {"kind": kind, "component": component}}}
    run = subprocess.run(
        [ANSIBLE_PLAYBOOK, "-i", "hosts.yml", "play.yml", "-e", json.dumps(stack)],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"msg:\n    - {host}\n" in run.stdout
