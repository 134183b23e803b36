"""The action in real runs of Ansible, as far as it asks no host."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from bad_descriptions import INVENTORY, ROOT

ANSIBLE_PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - stalk.celery.stack: {files: [stack.yml]}
      run_once: true
    - stalk.celery.preflight:
"""
REMEMBERED = "hosts:\n  redis: [data1]\n  postgresql: [data1]\n  web: [data1, worker1, worker2]\npools:\n"


def play(folder: Path, pools: str, *arguments: str, tasks: str = PLAY) -> subprocess.CompletedProcess[str]:
    (folder / "play.yml").write_text(tasks)
    (folder / "stack.yml").write_text("app: {name: books}\n")
    (folder / "state").mkdir(exist_ok=True)
    (folder / "state/deployed-books.yml").write_text(REMEMBERED + pools)
    given = {"stalk_state": str(folder / "state"), "ansible_connection": "ssh", "ansible_port": 1}
    return subprocess.run(
        [ANSIBLE_PLAYBOOK, "-i", INVENTORY, "play.yml", "-e", json.dumps(given), *arguments],
        cwd=folder,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_host_is_asked_for_what_is_remembered(tmp_path: Path) -> None:
    run = play(tmp_path, "  default: [celery]\n")
    assert run.returncode == 0, run.stdout


def test_a_run_without_the_broker_takes_no_queue_away(tmp_path: Path) -> None:
    run = play(tmp_path, "  default: [celery]\n  old: [old]\n", "--limit", "worker1")
    assert run.returncode != 0
    assert "queue old: the broker does not tell how many messages wait (--limit leaves its host out)" in run.stdout


def test_at_the_end_a_replica_that_saw_nothing_forgets_no_queue(tmp_path: Path) -> None:
    def end(waiting: int) -> subprocess.CompletedProcess[str]:
        primary = {"role": "primary", "queues": {"old": waiting}}
        told = {"data1": {"redis": {"role": "replica", "queues": {}}}, "data2": {"redis": primary}}
        judge = PLAY + f"        ended: true\n        told: {json.dumps(told)}\n      run_once: true\n"
        return play(tmp_path, "  default: [celery]\nleft: [old]\n", tasks=judge)

    run = end(waiting=2)
    assert "queue old: 2 messages wait and no pool would consume it" in " ".join(run.stdout.split())
    assert "old" in (tmp_path / "state/deployed-books.yml").read_text()
    assert end(waiting=0).returncode == 0
    assert "old" not in (tmp_path / "state/deployed-books.yml").read_text()


def test_a_broker_of_another_kind_is_left_only_when_it_tells_or_all_is_abandoned(tmp_path: Path) -> None:
    remembered = "  default: [celery]\n  reports: [reports]\n"
    another = f"{remembered}hosts:\n  rabbitmq: [data1]\n  redis: [data1]\n  web: [worker1]\n"
    run = play(tmp_path, another, "--limit", "worker1")
    assert run.returncode != 0
    assert (
        "broker.kind: is redis, and the rabbitmq on data1 has this stack's messages (the broker does not tell how many "
        "messages wait (this run leaves its host out, by --limit or as it is in no group)); bring it back and run "
        "again, or leave them there with -e stalk_abandon=celery,reports"
    ) in " ".join(run.stdout.split())
    moving = play(tmp_path, another, "--limit", "worker1", "-e", "stalk_move_messages=true")
    assert moving.returncode != 0
    abandoned = play(tmp_path, another, "--limit", "worker1", "-e", "stalk_abandon=celery,reports")
    assert "broker.kind" not in abandoned.stdout
