"""Templates are filled strictly, and nothing from the data becomes markup."""

from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from fieldcraft.report.render import environment, fill, heat, percent


def test_a_value_that_is_missing_is_an_error_and_not_a_gap() -> None:
    with pytest.raises(UndefinedError, match="story"):
        fill("report.html.j2")


def test_shares_read_as_percentages() -> None:
    assert percent(0.1234) == "12.3%"
    assert percent(None) == "-"


def test_a_cells_warmth_is_its_share() -> None:
    assert heat(0.5) == "--heat:50%"


def test_html_is_escaped_and_markdown_is_not() -> None:
    found = environment()
    assert found.autoescape("x.html.j2")  # type: ignore[operator]
    assert not found.autoescape("x.md.j2")  # type: ignore[operator]
