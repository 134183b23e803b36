"""The chart's README has the table of the values as they are."""

from __future__ import annotations

from chart_readme import README, Values, cell, readme


def test_the_table_is_that_of_the_values() -> None:
    written = README.read_text()
    assert written == readme(written), "stale; run `make chart-readme`"


def test_a_row_has_the_comment_above_its_key_or_what_the_schema_says() -> None:
    schema = {
        "properties": {
            "web": {"properties": {"port": {"$ref": "#/$defs/port"}, "image": {}, "servers": {}}},
        },
        "$defs": {"port": {"description": "A port."}},
    }
    text = """
        # Far away.

        # The web,
        # as a whole.
        web:
          port: 443
          # Its image.
          image: {tag: "1"}
          servers: {}
        """
    assert [(".".join(row.path), row.default, row.meaning) for row in Values(text, schema).rows()] == [
        ("web", "", "The web, as a whole."),
        ("web.port", "443", "A port."),
        ("web.image", '{tag: "1"}', "Its image."),
    ]


def test_a_cell_keeps_code_and_shows_signs_of_markdown_and_html() -> None:
    assert cell("`<app>*` or <any>* | none") == "`<app>*` or &lt;any>\\* \\| none"
