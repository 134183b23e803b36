"""What fails `make conformance`, and what is explained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conformance_verdict import (
    RUNS,
    Known,
    Outcome,
    Outcomes,
    alike,
    not_as_without_tls,
    problems,
    read_known,
    read_outcomes,
    reasons,
    table,
)

ROOT = Path(__file__).resolve().parents[3]
UNFINISHED = "had not ended"


def lines(*said: tuple[str, str]) -> list[str]:
    return [json.dumps({"test": f"t/integration/{test}", "outcome": outcome, "reason": ""}) for test, outcome in said]


def runs(tls: str, plain: str) -> dict[str, Outcomes]:
    return {"redis-tls": {"a": Outcome(tls, "why")}, "redis-plain": {"a": Outcome(plain, "why")}}


def known(*where: str) -> list[Known]:
    return [Known("a", frozenset(where), "because.")]


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        (["began", "passed"], "passed"),
        (["began", "rerun", "passed"], "passed"),
        (["began", "passed", "failed"], "failed"),
        (["began", "failed"], "failed"),
        (["began", "skipped"], "skipped"),
        (["began", "passed", "began"], "failed"),
        (["began", "failed", "began", "passed"], "passed"),
        (["began", "failed", "passed"], "failed"),
    ],
)
def test_the_last_word_on_a_test_counts(said: list[str], outcome: str) -> None:
    assert read_outcomes(lines(*(("a", word) for word in said)), UNFINISHED)["a"].outcome == outcome


def test_a_test_that_only_began_has_failed_for_want_of_time() -> None:
    assert read_outcomes(lines(("a", "began")), UNFINISHED) == {"a": Outcome("failed", UNFINISHED)}


def test_nothing_is_wrong_when_all_pass() -> None:
    assert problems(runs("passed", "passed"), []) == []
    assert alike(runs("passed", "passed")) == "1 of 1 over Redis"


def test_what_passes_on_one_side_alone_is_told() -> None:
    assert not_as_without_tls(runs("failed", "passed")) == {"redis-tls": {"a"}}
    assert not_as_without_tls(runs("passed", "failed")) == {"redis-tls": {"a"}}
    assert not_as_without_tls(runs("failed", "failed")) == {"redis-tls": set()}


@pytest.mark.parametrize("outcome", ["failed", "skipped", "xfailed"])
def test_what_does_not_pass_over_tls_alone_wants_a_reason(outcome: str) -> None:
    assert problems(runs(outcome, "passed"), []) == [f"redis-tls: a {outcome}: why"]
    assert problems(runs(outcome, "passed"), known("redis-tls")) == []


def test_a_failure_on_both_sides_wants_a_reason_for_both() -> None:
    assert problems(runs("failed", "failed"), known("redis-tls")) == ["redis-plain: a failed: why"]


def test_what_is_skipped_on_both_sides_wants_none() -> None:
    assert problems(runs("skipped", "skipped"), []) == []


def test_a_test_that_is_missing_over_tls_wants_a_reason() -> None:
    found = {"redis-tls": {"b": Outcome("passed")}, "redis-plain": {"b": Outcome("passed"), "a": Outcome("passed")}}
    assert problems(found, []) == ["redis-tls: a did not run, and passes without TLS"]


def test_a_reason_that_nothing_asks_for_is_wrong() -> None:
    said = "redis-tls: a is in known.yml and needs no reason; take it out"
    assert problems(runs("passed", "passed"), known("redis-tls")) == [said]
    assert problems({}, known("redis-tls")) == []


def test_a_reason_that_is_asked_for_sometimes_is_right_either_way() -> None:
    sometimes = [Known("a", frozenset({"redis-tls"}), "A race.", sometimes=True)]
    assert problems(runs("passed", "passed"), sometimes) == []
    assert problems(runs("failed", "passed"), sometimes) == []


def test_a_run_without_tests_is_wrong() -> None:
    assert problems({"redis-tls": {}}, []) == ["redis-tls: no test ran"]


def test_the_table_counts() -> None:
    rows = table(runs("failed", "passed"), {"Celery": "5.7.0"})
    assert rows[0] == "Celery 5.7.0."
    assert "| Redis | TLS, as Stalk provisions it | 0 | 1 | 0 | 0 |" in rows
    assert "| Redis | plain text, its peer | 1 | 0 | 0 | 0 |" in rows


def test_every_known_reason_is_whole() -> None:
    entries = read_known(ROOT / "tests/conformance/known.yml")
    assert all(entry.reason.endswith(".") and entry.runs <= set(RUNS) and "::" in entry.test for entry in entries)
    assert len({(run, entry.test) for entry in entries for run in entry.runs}) == sum(
        len(entry.runs) for entry in entries
    )
    assert len(reasons(entries)) <= len(entries)
