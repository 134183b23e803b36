"""Who moves messages, by the role's variables in a real run of Ansible."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from bad_descriptions import ROOT

ANSIBLE_PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
PLAY = f"""
- hosts: worker
  gather_facts: false
  connection: local
  vars_files: [{ROOT}/roles/app/vars/main.yml]
  tasks:
    - ansible.builtin.set_fact: {{app_note: {{stat: {{exists: "{{{{ inventory_hostname in noted }}}}"}}}}}}
    - ansible.builtin.debug: {{msg: "mover={{{{ app_mover }}}}."}}
      run_once: true
"""


def mover(folder: Path, *noted: str) -> str:
    (folder / "play.yml").write_text(PLAY)
    (folder / "hosts.yml").write_text("worker: {hosts: {new1: , old1: , old2: }}\n")
    run = subprocess.run(
        [ANSIBLE_PLAYBOOK, "-i", "hosts.yml", "play.yml", "-e", json.dumps({"noted": noted})],
        cwd=folder,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.partition("mover=")[2].partition(".")[0]


def test_a_host_moves_that_has_the_old_address(tmp_path: Path) -> None:
    assert mover(tmp_path, "old1", "old2") == "old1"


def test_nobody_moves_where_no_host_has_it(tmp_path: Path) -> None:
    assert mover(tmp_path) == ""
