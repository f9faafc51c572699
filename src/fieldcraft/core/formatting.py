"""Format numbers, lists and durations for people, and parse durations."""

from __future__ import annotations

import re
from collections.abc import Sequence

SECONDS_BY_UNIT = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def format_number(value: float | None) -> str:
    """Format a number with four significant digits; None and NaN give a dash.

    >>> [format_number(x) for x in (0.87654, 12.3456, 47654.3, 0.0000021, None)]
    ['0.8765', '12.35', '47,654', '2e-06', '-']
    """
    if value is None or value != value:
        return "-"
    magnitude = abs(value)
    if magnitude >= 1000:
        return f"{value:,.0f}"
    if magnitude >= 1:
        return f"{value:.4g}"
    # Below .00005 four decimals would show 0.0000, which reads as exactly zero.
    return f"{value:.4f}" if magnitude >= 0.00005 or not magnitude else f"{value:.0e}"


def pluralize(count: int, singular: str, plural: str | None = None) -> str:
    """Return a count with its noun.

    >>> pluralize(1, "row"), pluralize(2000, "row"), pluralize(2, "class", "classes")
    ('1 row', '2,000 rows', '2 classes')
    """
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def truncated_list(names: Sequence[str], max_names: int = 8) -> str:
    """Join the first names of a list, with an ellipsis if there are more.

    >>> truncated_list(["a", "b", "c"], 2)
    'a, b, ...'
    """
    return ", ".join(names[:max_names]) + (", ..." if len(names) > max_names else "")


def join_names(names: Sequence[str], conjunction: str = "and") -> str:
    """Join names for a sentence.

    >>> join_names(["a", "b", "c"]), join_names(["a", "b"], "or")
    ('a, b and c', 'a or b')
    """
    return f" {conjunction} ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)


def to_sentence(text: str) -> str:
    """Capitalize the first letter and end with a period."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def parse_duration(text: str) -> float | None:
    """Parse a duration such as 90s, 5m, 1h, 2d or 1w into seconds; None if it is invalid.

    >>> parse_duration("5m"), parse_duration("soon")
    (300.0, None)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw]?)", text.strip().lower())
    return float(match[1]) * SECONDS_BY_UNIT[match[2]] if match else None


def format_duration(seconds: float) -> str:
    """Format a duration in seconds for people.

    >>> format_duration(7.26), format_duration(95), format_duration(7200)
    ('7.3 s', '1 min 35 s', '2 h 0 min')
    """
    if round(seconds, 1) < 60:  # rounded first, or 59.96 would read "60.0 s"
        return f"{seconds:.1f} s"
    minutes, rest_seconds = divmod(round(seconds), 60)
    return (
        f"{minutes} min {rest_seconds} s"
        if minutes < 60
        else f"{minutes // 60} h {minutes % 60} min"
    )
