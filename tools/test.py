"""`make test`: runs every kind of test, two at a time and one beside them, and counts what ran; `--all`: long ones too.

Each kind writes its whole output to build/test/<kind>.log; the terminal shows when it starts and ends, and
when it failed which tests did and why, or the end of the log when no test has.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(".venv/bin")
APP_BIN = Path("../.venv-app/bin")
LOGS = ROOT / "build" / "test"
FAULTS = ROOT / "build" / "faults"
TAIL = 30
REASON = 12

PYTHON_FOLDERS = "plugins helm tools tests molecule bench"
SHELL_SCRIPTS = (
    "git ls-files -z ':!*.j2' | xargs -0 grep -d skip -lZE '^#!(/usr/bin/env bash|/bin/sh)' | xargs -0 shellcheck"
)


@dataclass(frozen=True)
class Kind:
    """A kind of test: its commands, run in order in `folder`; `{junit}` is where a command writes its report. One that
    is `long` is left to --all, one that is `named` runs where it is named; two of a `scenario` share containers, or
    need the machine. One that is `idle` waits more than it works. Its `table`, a file, is shown."""

    name: str
    commands: tuple[str, ...]
    folder: str = "."
    env: dict[str, str] = field(default_factory=dict)
    least: int = 1
    long: bool = False
    named: bool = False
    scenario: str = ""
    idle: bool = False
    table: Path | None = None


@dataclass(frozen=True)
class Outcome:
    kind: Kind
    passed: int
    failed: int
    skipped: int
    seconds: float


def on_servers(name: str, scenario: str, debian: str, *, least: int, long: bool = False, broker: str = "") -> Kind:
    """A scenario of Molecule on this release of Debian, with this broker where it leaves the choice."""
    commands = (f"{BIN}/molecule test -s {scenario}",)
    env = {"STALK_DEBIAN": debian} | ({"STALK_BROKER": broker} if broker else {})
    return Kind(name, commands, env=env, least=least, long=long, scenario=scenario)


KINDS = (
    Kind(
        "lint",
        (
            f"{BIN}/ruff check {PYTHON_FOLDERS} sample_app",
            f"{BIN}/ruff format --check {PYTHON_FOLDERS} sample_app",
            f"{BIN}/mypy tools tests bench molecule",
            f"{BIN}/mypy -p ansible_collections.stalk.celery.plugins",
            "cd sample_app && ../.venv-app/bin/mypy",
            f"{BIN}/yamllint --strict .",
            SHELL_SCRIPTS,
            f"{BIN}/ansible-lint",
        ),
        # The type checker reads Django's settings, which are refused without these.
        env={"DJANGO_SECRET_KEY": "x", "DATABASE_URL": "postgresql://u:p@h/d", "CELERY_BROKER_URL": "redis://h"},
    ),
    Kind("unit", (f"{BIN}/pytest tests/unit --junitxml={{junit}}",), least=1000),
    Kind("collection", (f"{BIN}/pytest tests/collection --junitxml={{junit}}",)),
    Kind(
        "chart",
        (".cache/bin/helm-unittest --strict --output-type JUnit --output-file {junit} helm/stalk",),
        least=150,
    ),
    Kind("parity", (f"{BIN}/pytest tests/parity --junitxml={{junit}}",), least=260),
    Kind("renders", (f"{BIN}/pytest tests/chart --junitxml={{junit}}",), least=480),
    # What takes longest goes before what fills the rest.
    Kind(
        "servers-by-ssh", (f"{BIN}/molecule test -s spread",), least=90, scenario="spread", table=FAULTS / "servers.txt"
    ),
    on_servers("rabbitmq-bookworm", "rabbitmq", "bookworm", least=95),
    on_servers("server-bookworm", "default", "bookworm", least=80),
    Kind("external-broker", (f"{BIN}/molecule test -s external",), least=20),
    Kind("app", (f"{APP_BIN}/pytest --junitxml={{junit}}",), folder="sample_app", least=100),
    on_servers("valkey-trixie", "valkey", "trixie", least=65),
    on_servers("server-trixie", "default", "trixie", least=80, long=True),
    on_servers("sentinel-bookworm", "sentinel", "bookworm", least=50, long=True),
    on_servers("sentinel-trixie", "sentinel", "trixie", least=50, long=True),
    on_servers("valkey-sentinel-trixie", "sentinel", "trixie", least=50, long=True, broker="valkey"),
    on_servers("rabbitmq-trixie", "rabbitmq", "trixie", least=70, long=True),
    on_servers("rabbitmq-cluster-trixie", "rabbitmq-cluster", "trixie", least=75, long=True),
    # All of `make faults`; with --all servers-by-ssh has them.
    Kind(
        "faults-on-servers",
        (f"{BIN}/molecule test -s faults",),
        least=32,
        long=True,
        named=True,
        scenario="spread",
        table=FAULTS / "servers.txt",
    ),
    Kind(
        "faults-on-rabbitmq",
        (f"{BIN}/molecule test -s faults-rabbitmq",),
        env={"STALK_DEBIAN": "trixie"},
        least=33,
        long=True,
        named=True,
        scenario="spread",
        table=FAULTS / "rabbitmq.txt",
    ),
    Kind(
        "faults-on-kubernetes",
        ("tools/prepare cluster images", f"{BIN}/pytest tests/faults"),
        least=33,
        long=True,
        named=True,
        table=FAULTS / "kubernetes.txt",
    ),
    Kind(
        "laptop",
        ("tools/prepare compose images", f"{BIN}/pytest tests/laptop --junitxml={{junit}}"),
        least=15,
        long=True,
    ),
    on_servers("switch-bookworm", "switch", "bookworm", least=5, long=True),
    on_servers("switch-sentinel-bookworm", "switch-sentinel", "bookworm", least=4, long=True),
    # Kubernetes is compiled when it is the first time.
    Kind(
        "cluster",
        ("tools/prepare cluster images", f"{BIN}/pytest tests/cluster --durations=20 --junitxml={{junit}}"),
        least=150,
        idle=True,
    ),
)

terminal = threading.Lock()
scenarios: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


def say(text: str) -> None:
    with terminal:
        print(text, flush=True)


def read(report: Path) -> ElementTree.Element:
    """A JUnit report; an empty one when there is none that is whole."""
    try:
        return ElementTree.parse(report).getroot()
    except (FileNotFoundError, ElementTree.ParseError):
        return ElementTree.Element("testsuites")


def counts(report: Path) -> tuple[int, int, int]:
    """Passed, failed and skipped of a JUnit report."""
    totals = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for suite in read(report).iter("testsuite"):
        for name in totals:
            totals[name] += int(suite.get(name, 0))
    failed = totals["failures"] + totals["errors"]
    return totals["tests"] - failed - totals["skipped"], failed, totals["skipped"]


def failures(report: Path) -> list[str]:
    """The tests that failed by a JUnit report, each with the end of its reason."""
    lines = []
    for case in read(report).iter("testcase"):
        for broken in (*case.iter("failure"), *case.iter("error")):
            reason = (broken.text or broken.get("message") or "").strip().splitlines()
            lines += [f"{case.get('classname')}::{case.get('name')}", *("  " + line for line in reason[-REASON:])]
    return lines


def run(kind: Kind, *, everything: bool) -> Outcome:
    log, junit = LOGS / f"{kind.name}.log", LOGS / f"{kind.name}.xml"
    for before in filter(None, (junit, kind.table)):
        before.unlink(missing_ok=True)
    started = time.monotonic()
    say(f"  start  {kind.name}")
    passed = failed = skipped = 0
    with log.open("w") as output:
        for template in kind.commands:
            command = template.format(junit=junit)
            output.write(f"$ {command}\n")
            output.flush()
            env = os.environ | kind.env | {"STALK_JUNIT": str(junit), "PATH": f"{ROOT / BIN}:{os.environ['PATH']}"}
            # Of the pytest.ini_options of pyproject.toml: the sample app has its own, which know no such marker.
            if kind.folder == "." and not (everything or kind.long):
                env["PYTEST_ADDOPTS"] = f"{env.get('PYTEST_ADDOPTS', '')} -m 'not long'"
            broken = subprocess.run(
                ["bash", "-c", f"set -o pipefail; {command}"],
                cwd=ROOT / kind.folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            ).returncode
            if kind.name == "lint":
                passed, failed = passed + (not broken), failed + bool(broken)
            elif broken:
                failed = 1
                break
    if kind.name != "lint":
        passed, counted, skipped = counts(junit)
        failed = max(failed, counted)
        if not failed and passed < kind.least:
            failed = 1
            with log.open("a") as output:
                output.write(f"only {passed} tests of {kind.name} ran, at least {kind.least} are expected\n")
    seconds = time.monotonic() - started
    say(f"  {'FAILED' if failed else 'passed'} {kind.name}: {passed} passed, {failed} failed, in {seconds:.0f} s")
    if failed:
        why = failures(junit) or log.read_text(errors="replace").splitlines()[-TAIL:]
        say("\n".join([f"  --- from {log.relative_to(ROOT)}", *("  | " + line for line in why)]))
    return Outcome(kind, passed, failed, skipped, seconds)


def in_turn(kind: Kind, *, everything: bool) -> Outcome:
    with scenarios[kind.scenario or kind.name]:
        return run(kind, everything=everything)


def main() -> int:
    names = [kind.name for kind in KINDS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"which kinds: {', '.join(names)}")
    parser.add_argument("--all", action="store_true", help="run the tests that take minutes too")
    arguments = parser.parse_args()
    wanted = arguments.kinds or [kind.name for kind in KINDS if not kind.named and (arguments.all or not kind.long)]
    if unknown := set(wanted) - set(names):
        parser.error(f"unknown kind {shlex.join(sorted(unknown))}; choose from {', '.join(names)}")
    LOGS.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(2) as lanes, ThreadPoolExecutor(1) as beside:
        running = [
            (beside if kind.idle else lanes).submit(in_turn, kind, everything=arguments.all)
            for kind in KINDS
            if kind.name in wanted
        ]
    outcomes = [each.result() for each in running]
    for table in (outcome.kind.table for outcome in outcomes):
        if table and table.exists():
            print(f"\n{table.read_text()}", end="")
    print("\nTests by kind:")
    for outcome in outcomes:
        print(
            f"  {outcome.kind.name:<17} {outcome.passed:>4} passed {outcome.failed:>4} failed {outcome.seconds:>6.0f} s"
        )
    passed, failed, skipped = (
        sum(getattr(outcome, name) for outcome in outcomes) for name in ("passed", "failed", "skipped")
    )
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
