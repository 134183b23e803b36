"""The table of brokers, from reports of tests."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from cells import BEGIN, END, cells, with_seen

REDIS = "Redis 7.0.15 | single | Debian 12"
RABBITMQ = "RabbitMQ 4.0.5 | single | Debian 13"


def case(name: str, cell: str, ended: str = "") -> str:
    return f'<testcase name="{name}"><properties><property name="cell" value="{cell}"/></properties>{ended}</testcase>'


def report(*cases: str) -> ElementTree.Element:
    return ElementTree.fromstring(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>")


REPORT = report(
    case("a", REDIS),
    case("b", REDIS, "<failure/>"),
    case("a", RABBITMQ),
    case("b", RABBITMQ, "<skipped/>"),
    "<testcase/>",
)
TABLE = """\
| broker | topology | where | tests |
|---|---|---|---|
| RabbitMQ 4.0.5 | single | Debian 13 | 1 passed |
| Redis 7.0.15 | single | Debian 12 | 1 passed, 1 failed |
"""
PAGE = f"# Brokers\n\n{BEGIN}{{}}{END}\nafter\n"


def test_each_combination_counts_its_own_tests() -> None:
    assert with_seen(PAGE.format(""), cells([REPORT])) == PAGE.format(TABLE)


def test_several_reports_of_one_combination_are_one_line() -> None:
    assert cells([REPORT, report(case("c", REDIS))])[REDIS].verdict == "2 passed, 1 failed"


def test_of_a_test_that_ran_again_the_last_word_counts() -> None:
    assert cells([REPORT, report(case("b", REDIS))])[REDIS].verdict == "2 passed"


def test_a_line_of_which_no_test_says_anything_stays() -> None:
    again = report(*(case(name, REDIS) for name in ("a", "b", "c")))
    assert with_seen(PAGE.format(TABLE), cells([again])) == PAGE.format(TABLE.replace("1 passed, 1 failed", "3 passed"))
