"""Templates are strict, and data cannot become markup."""

from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from fieldcraft.report.render import (
    format_heat,
    format_percent,
    render_template,
    template_environment,
)


def test_a_missing_variable_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="report"):
        render_template("report.html.j2")


def test_fractions_are_shown_as_percentages() -> None:
    assert format_percent(0.1234) == "12.3%"
    assert format_percent(None) == "-"


def test_the_heat_of_a_cell_is_its_fraction() -> None:
    assert format_heat(0.5) == "--heat:50%"


def test_html_is_escaped_and_markdown_is_not() -> None:
    environment_under_test = template_environment()
    assert environment_under_test.autoescape("x.html.j2")  # type: ignore[operator]
    assert not environment_under_test.autoescape("x.md.j2")  # type: ignore[operator]
