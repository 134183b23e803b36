"""What is read from the ledger after a fault."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from tests.faults.outcome import Entry, Load, Outcome, Row, table
from tests.faults.plot import plot

LOAD = Load("fault", count=5, began=100, broke=110, mended=130, ended=140, failure=None)
# Sent, in this order: done, done twice, begun twice and done late, never done; the last left no entry at all.
LEDGER = (Entry(0, 1, 1, 105), Entry(1, 2, 2, 112), Entry(2, 2, 1, 150), Entry(3, 1, 0, 0))


def test_a_task_without_effect_is_lost_unless_the_broker_holds_it() -> None:
    assert Outcome(LOAD, LEDGER).lost == 2
    assert Outcome(LOAD, LEDGER, held=1).lost == 1


def test_starts_and_effects_beyond_the_first_are_counted() -> None:
    outcome = Outcome(LOAD, LEDGER)
    assert (outcome.repeated, outcome.extra) == (2, 1)


def test_a_lull_is_the_longest_time_without_effect_while_tasks_were_sent() -> None:
    outcome = Outcome(LOAD, LEDGER)
    assert (outcome.lull, outcome.behind) == (28, 10)


@pytest.mark.parametrize(("plain", "columns"), [(None, 7), (Outcome(LOAD, LEDGER, held=1), 12)])
def test_the_table_has_the_columns_of_the_plain_set_up_when_it_was_there(plain: Outcome | None, columns: int) -> None:
    rows = [Row("one", Outcome(LOAD, LEDGER), plain), Row("two", Outcome(LOAD, LEDGER))]
    head, one, _ = table(rows)
    assert len(head.replace("last after", "behind").replace("plain: sent", "sent").split()) == columns
    assert one.split()[:5] == ["one", "5", "2", "2", "1"]


def test_the_plot_has_a_line_for_each_set_up_and_fault() -> None:
    rows = [Row("one", Outcome(LOAD, LEDGER), Outcome(LOAD, LEDGER)), Row("a < b", Outcome(LOAD, LEDGER))]
    lines = ElementTree.fromstring(plot(rows)).findall(".//{http://www.w3.org/2000/svg}polyline")
    # From the first send to half a minute after the last.
    assert [len(line.attrib["points"].split()) for line in lines] == [70, 70, 70]
