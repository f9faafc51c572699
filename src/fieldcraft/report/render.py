"""Render templates: numbers formatted, everything else escaped, missing variables an error."""

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
    """A CSS variable for a background as strong as a fraction, as in cells of a heat map."""
    return Markup(f"--heat:{100 * fraction:.0f}%")


@cache
def template_environment() -> Environment:
    """The templates of this package."""
    created = Environment(
        loader=PackageLoader("fieldcraft.report"),
        # Cells, column names and class names come from the user's data: in HTML they are escaped
        # always. The Markdown card is text, in which markup of a cell does nothing.
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    created.filters.update(
        figure=format_number,
        count=format_count,
        percent=format_percent,
        heat=format_heat,
        sentence=to_sentence,
    )
    return created


def render_template(template: str, **values: Any) -> str:
    """Render a template with variables."""
    return template_environment().get_template(template).render(**values)
