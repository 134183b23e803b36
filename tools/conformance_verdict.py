"""What the outcomes of Celery's integration suite say: which are explained by tests/conformance/known.yml, and the
table of docs/conformance.md.

A run is the suite against one broker over one kind of connection, `redis-tls` say; its outcomes are by the suite's
names of tests, `test_tasks.py::test_tasks::test_ignored`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

BROKERS = {"redis": "Redis", "rabbitmq": "RabbitMQ, results in Redis"}
RUNS = tuple(f"{broker}-{link}" for broker in BROKERS for link in ("tls", "plain"))
FAILED = "failed"
SKIPPED = "skipped"
OUTCOMES = ("passed", FAILED, SKIPPED, "xfailed")
FOLDER = "t/integration/"


@dataclass(frozen=True)
class Outcome:
    outcome: str
    reason: str = ""


Outcomes = dict[str, Outcome]


@dataclass(frozen=True)
class Known:
    """A test that is explained in some runs: it fails there, or is skipped over TLS and passes without; each time, or
    `sometimes`."""

    test: str
    runs: frozenset[str]
    reason: str
    sometimes: bool = False


def read_outcomes(lines: Iterable[str], unfinished: str) -> Outcomes:
    """The last word on each test; one that only began failed for the reason `unfinished`."""
    found: Outcomes = {}
    for line in lines:
        said = json.loads(line)
        test, outcome = said["test"].removeprefix(FOLDER), said["outcome"]
        if outcome in OUTCOMES:
            # What fails after the test itself passed has failed.
            if outcome != "passed" or found[test].reason == unfinished:
                found[test] = Outcome(outcome, said["reason"])
        else:
            found[test] = Outcome(FAILED, unfinished)
    return found


def read_known(file: Path) -> list[Known]:
    entries = yaml.safe_load(file.read_text()) or []
    return [
        Known(test, frozenset(entry["in"]), entry["reason"], entry.get("sometimes", False))
        for entry in entries
        for test in entry["tests"]
    ]


def not_as_without_tls(runs: Mapping[str, Outcomes]) -> dict[str, set[str]]:
    """Run over TLS → tests that pass there or without TLS, and not in both."""
    return {
        f"{broker}-tls": passed(runs[f"{broker}-tls"]) ^ passed(runs[f"{broker}-plain"])
        for broker in BROKERS
        if f"{broker}-tls" in runs and f"{broker}-plain" in runs
    }


def passed(outcomes: Outcomes) -> set[str]:
    return {test for test, outcome in outcomes.items() if outcome.outcome == "passed"}


def to_explain(runs: Mapping[str, Outcomes]) -> dict[tuple[str, str], str]:
    """(run, test) → what asks for a reason: a failure, or a test that passes without TLS alone."""
    found = {
        (run, test): f"{outcome.outcome}: {outcome.reason}"
        for run, outcomes in runs.items()
        for test, outcome in outcomes.items()
        if outcome.outcome == FAILED
    }
    for run, tests in not_as_without_tls(runs).items():
        for test in tests - passed(runs[run]):
            outcome = runs[run].get(test)
            what = f"{outcome.outcome}: {outcome.reason}" if outcome else "did not run, and passes without TLS"
            found[run, test] = what
    return found


def problems(runs: Mapping[str, Outcomes], known: list[Known]) -> list[str]:
    """What makes the whole run fail, a line each."""
    asked = to_explain(runs)
    explained = {(run, entry.test) for entry in known for run in entry.runs}
    certain = {(run, entry.test) for entry in known if not entry.sometimes for run in entry.runs}
    lines = [f"{run}: {test} {what}" for (run, test), what in sorted(asked.items()) if (run, test) not in explained]
    lines += [f"{run}: no test ran" for run, outcomes in runs.items() if not outcomes]
    return lines + [
        f"{run}: {test} is in known.yml and needs no reason; take it out"
        for run, test in sorted(certain - asked.keys())
        if run in runs
    ]


def table(runs: Mapping[str, Outcomes], versions: Mapping[str, str]) -> list[str]:
    """The result as Markdown."""
    lines = [
        ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
        "",
        "| broker | connection | passed | failed, explained below | skipped | expected to fail |",
        "|---|---|---|---|---|---|",
    ]
    for run, outcomes in runs.items():
        broker, link = run.split("-")
        count = Counter(outcome.outcome for outcome in outcomes.values())
        how = "TLS, as Stalk provisions it" if link == "tls" else "plain text, its peer"
        lines.append(f"| {BROKERS[broker]} | {how} | " + " | ".join(str(count[name]) for name in OUTCOMES) + " |")
    lines += ["", f"Pass with and without TLS alike: {alike(runs)}.", ""]
    return lines


def alike(runs: Mapping[str, Outcomes]) -> str:
    return ", ".join(
        f"{len(passed(runs[run]) - tests)} of {len(passed(runs[run]) | tests)} over {BROKERS[run.split('-')[0]]}"
        for run, tests in not_as_without_tls(runs).items()
    )


def reasons(known: list[Known]) -> list[str]:
    """The list of known.yml as Markdown: a line for each reason, with its tests."""
    by_reason: dict[tuple[str, frozenset[str]], list[str]] = {}
    for entry in known:
        by_reason.setdefault((entry.reason, entry.runs), []).append(entry.test)
    return [
        f"- {' '.join(reason.split())} In {', '.join(run for run in RUNS if run in runs)}:"
        f" {', '.join(f'`{test}`' for test in tests)}"
        for (reason, runs), tests in by_reason.items()
    ]
