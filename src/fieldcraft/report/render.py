"""Render templates: numbers are formatted, text is escaped, a missing variable is an error."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from fieldcraft.core.formatting import format_number, to_sentence


def format_count(value: int) -> str:
    """A whole number with thousands separators."""
    return f"{value:,}"


def format_percent(value: float | None) -> str:
    """A fraction as a percentage."""
    return "-" if value is None else f"{value:.1%}"


def format_heat(fraction: float) -> Markup:
    """A CSS variable that sets the strength of a background color, from 0 to 1."""
    return Markup(f"--heat:{100 * fraction:.0f}%")


@cache
def template_environment() -> Environment:
    """The templates of this package."""
    environment = Environment(
        loader=PackageLoader("fieldcraft.report"),
        # Cells, column names and class names come from the user's data, so HTML templates escape
        # them. The Markdown card is plain text.
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        figure=format_number,
        count=format_count,
        percent=format_percent,
        heat=format_heat,
        sentence=to_sentence,
    )
    return environment


def render_template(template: str, **values: Any) -> str:
    """Render a template with variables."""
    return template_environment().get_template(template).render(**values)
