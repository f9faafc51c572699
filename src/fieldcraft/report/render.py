"""Fill templates: numbers as people read them, everything else escaped."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from fieldcraft.core.words import figure, sentence


def count(value: int) -> str:
    """A whole number with its thousands set apart."""
    return f"{value:,}"


def percent(value: float | None) -> str:
    """A share as a percentage."""
    return "-" if value is None else f"{value:.1%}"


def heat(share: float) -> Markup:
    """A background as strong as a share, for cells of a table."""
    return Markup(f"--heat:{100 * share:.0f}%")


@cache
def environment() -> Environment:
    """The templates of this package."""
    found = Environment(
        loader=PackageLoader("fieldcraft.report"),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(figure=figure, count=count, percent=percent, heat=heat, sentence=sentence)
    return found


def fill(template: str, **values: Any) -> str:
    """A template filled with values."""
    return environment().get_template(template).render(**values)
