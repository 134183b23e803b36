from __future__ import annotations

import pytest
from ansible_collections.stalk.celery.plugins.module_utils.status.table import aligned, amount, shortened, span

HEADING = ["POOL", "HOST", "QUEUED"]


def test_columns_line_up_and_figures_are_flush_right() -> None:
    assert aligned([HEADING, ["default", "app1", "7"], ["io", "worker-12", "1200"]], right=[2]) == [
        "POOL     HOST       QUEUED",
        "default  app1            7",
        "io       worker-12    1200",
    ]


def test_the_host_gives_way_when_the_terminal_is_narrow() -> None:
    host = "a-very-long-name.of-a-host.in-some-far.region.example.org"
    lines = aligned([HEADING, ["default", host, "7"]], right=[2], width=40)
    assert max(map(len, lines)) <= 40
    assert "default" in lines[1]
    assert "a-very-long-name" in lines[1]
    assert lines[1].endswith("7")


def test_a_shortened_text_says_so() -> None:
    assert shortened("abcdef", 4) == "abc…"
    assert shortened("abcd", 4) == "abcd"


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (-3, "0s"),
        (59.9, "59s"),
        (60, "1m"),
        (125, "2m05s"),
        (720, "12m"),
        (7500, "2h05m"),
        (11 * 3600 + 300, "11h"),
        (3 * 86400 + 4 * 3600, "3d04h"),
        (120 * 86400, "120d"),
    ],
)
def test_a_span_is_short_and_has_two_units_at_most(seconds: float, written: str) -> None:
    assert span(seconds) == written


@pytest.mark.parametrize(
    ("size", "written"),
    [(0, "0B"), (1023, "1023B"), (1536, "1.5K"), (512 * 1024**2, "512M"), (3.5 * 1024**4, "3584G")],
)
def test_an_amount_of_memory(size: float, written: str) -> None:
    assert amount(size) == written
