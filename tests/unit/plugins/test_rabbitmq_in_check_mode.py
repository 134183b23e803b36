"""When the role rabbitmq looks at its service in check mode, by its own condition in a real run of Ansible."""

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


@pytest.mark.parametrize(
    ("missing", "looks"), [([], True), (["python3-amqp"], True), (["rabbitmq-server", "python3-amqp"], False)]
)
def test_only_a_server_that_is_not_there_is_skipped(tmp_path: Path, missing: list[str], looks: bool) -> None:
    tasks = yaml.safe_load((ROOT / "roles/rabbitmq/tasks/main.yml").read_text())
    condition = next(task["when"] for task in tasks if task["name"] == "Service")
    task = {"ansible.builtin.debug": {"msg": "it looks"}, "when": condition}
    play = {"hosts": "localhost", "gather_facts": False, "tasks": [task]}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    given = json.dumps({"rabbitmq_package": {"installed": missing}})
    run = subprocess.run(
        [ANSIBLE_PLAYBOOK, "-i", "localhost,", "--check", "play.yml", "-e", given],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ("it looks" in run.stdout) is looks
