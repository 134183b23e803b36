"""The playbook of dead letters in a real run of Ansible, where no RabbitMQ is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from bad_descriptions import ROOT

ANSIBLE_PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")

GROUPS = ("redis", "postgresql", "web", "worker", "beat", "flower")


def test_it_says_that_redis_has_none(tmp_path: Path) -> None:
    (tmp_path / "stack.yml").write_text("app: {name: books}\n")
    (tmp_path / "hosts.yml").write_text("".join(f"{group}: {{hosts: {{data1: }}}}\n" for group in GROUPS))
    given = {"stack_files": ["stack.yml"], "stalk_state": str(tmp_path / "state")}
    run = subprocess.run(
        [ANSIBLE_PLAYBOOK, "-i", "hosts.yml", str(ROOT / "playbooks/dead_letters.yml"), "-e", json.dumps(given)],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0, run.stdout
    assert "broker.kind: is redis, which has no dead letters" in " ".join(run.stdout.split())
