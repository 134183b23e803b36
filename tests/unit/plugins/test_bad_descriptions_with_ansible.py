"""`ansible-playbook playbooks/site.yml` refuses a bad description before it connects to any host.

What it says of each of them is the business of test_bad_descriptions.py; a run takes seconds, so here are some of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from bad_descriptions import BAD, CASES, INVENTORY, ROOT, expected_lines, files_of

ANSIBLE_PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
SOME = CASES[::10]
AT_ONCE = 2
# So that a run that hangs ends; what it must not do is asserted from its output.
PATIENCE = 300

Run = subprocess.CompletedProcess[str]


def deploy(case: str, state: Path) -> Run:
    given = {"stack_files": files_of(case), "stalk_state": str(state)}
    return subprocess.run(
        [ANSIBLE_PLAYBOOK, "-i", INVENTORY, ROOT / "playbooks" / "site.yml", "-e", json.dumps(given)],
        cwd=BAD,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    state = tmp_path_factory.mktemp("state")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(SOME, pool.map(lambda case: deploy(case, state), SOME), strict=True))


@pytest.mark.parametrize("case", SOME)
def test_the_deployment_is_refused(case: str, runs: dict[str, Run]) -> None:
    run = runs[case]
    lines = {line.strip() for line in run.stdout.splitlines()}
    assert run.returncode != 0
    assert set(expected_lines(case)) <= lines
    assert "Traceback" not in run.stdout + run.stderr


@pytest.mark.parametrize("case", SOME)
def test_nothing_else_has_been_tried(case: str, runs: dict[str, Run]) -> None:
    output = runs[case].stdout
    assert output.count("TASK [") == 1
    assert "unreachable=0" in output
    assert "changed=0" in output
