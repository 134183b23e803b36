"""The table of brokers, from reports of tests."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from cells import BEGIN, END, cells, table, with_table

REDIS = "Redis 7.0.15 | single | Debian 12"
RABBITMQ = "RabbitMQ 4.0.5 | single | Debian 13"


def case(cell: str, ended: str = "") -> str:
    return f'<testcase><properties><property name="cell" value="{cell}"/></properties>{ended}</testcase>'


TESTS = (case(REDIS), case(REDIS, "<failure/>"), case(RABBITMQ), case(RABBITMQ, "<skipped/>"), "<testcase/>")
REPORT = f"<testsuites><testsuite>{''.join(TESTS)}</testsuite></testsuites>"
TABLE = """\
| broker | topology | where | tests |
|---|---|---|---|
| RabbitMQ 4.0.5 | single | Debian 13 | 1 passed |
| Redis 7.0.15 | single | Debian 12 | 1 passed, 1 failed |
"""


def test_each_combination_counts_its_own_tests() -> None:
    assert table(cells([ElementTree.fromstring(REPORT)])) == TABLE


def test_several_reports_of_one_combination_are_one_line() -> None:
    twice = cells([ElementTree.fromstring(REPORT)] * 2)
    assert twice[REDIS].verdict == "2 passed, 2 failed"


def test_the_table_takes_the_place_of_the_one_before() -> None:
    page = f"# Brokers\n\n{BEGIN}old\n{END}\nafter\n"
    assert with_table(page, TABLE) == f"# Brokers\n\n{BEGIN}{TABLE}{END}\nafter\n"
