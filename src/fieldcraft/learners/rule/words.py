"""The one rule as a person would say it."""

from __future__ import annotations

from collections.abc import Sequence

from fieldcraft.contracts import Json
from fieldcraft.core.words import figure, listed

MOST_BINS = 8  # that are told


def in_words(rule: Json, about: Json, levels: Sequence[str] = ()) -> str:
    """The rule as one line: what each bin of its column says.

    Args:
        rule: values of the state of a rule; outputs in units of the target.
        about: what the task says of the target.
        levels: names of the levels of the column, from code 1.

    >>> bins = [{"code": 1, "rows": 70, "outputs": [0.6, 0.4]},
    ...         {"code": 2, "rows": 90, "outputs": [0.9, 0.1]}]
    >>> rule = {"column": "contract", "levels": 2, "bins": bins}
    >>> in_words(rule, {"classes": ["no", "yes"]}, ["monthly", "yearly"])
    'contract: yearly → 10 %, monthly → 40 %'
    """
    bins = rule["bins"]
    if rule["levels"]:
        bins = sorted(bins, key=lambda found: -int(found["rows"]))
    below = None
    told = []
    for found in bins:
        told.append(f"{bin_words(found, below, levels)} → {outputs_words(found['outputs'], about)}")
        below = found.get("cut")
    return f"{rule['column']}: {listed(told, MOST_BINS)}"


def bin_words(found: Json, below: float | None, levels: Sequence[str]) -> str:
    """Which values a bin holds; `below` is where the bin before it ends."""
    if "missing" in found:
        return "missing"
    if "code" in found:
        code = int(found["code"])
        return "other" if not code else levels[code - 1] if levels else f"level {code}"
    if found["low"] == found["high"]:
        return number_words(found["low"])
    if found["cut"] is None:
        return "any value" if below is None else f"above {number_words(below)}"
    end = number_words(found["cut"])
    return f"up to {end}" if below is None else f"{number_words(below)} to {end}"


def number_words(value: float) -> str:
    """A number with the digits that matter."""
    return figure(value) if abs(value) >= 1 else f"{value:.4g}"


def outputs_words(outputs: Sequence[float], about: Json) -> str:
    """What a bin says: the share of yes, the likeliest class, the likely labels, or the mean."""
    if "labels" in about:
        pairs = zip(about["labels"], outputs, strict=True)
        return "+".join(label for label, share in pairs if share >= 0.5) or "none"
    if "classes" not in about:
        return figure(outputs[0])
    best = 1 if len(outputs) == 2 else max(range(len(outputs)), key=lambda k: outputs[k])
    share = f"{100 * outputs[best]:.0f} %"
    return share if len(outputs) == 2 else f"{about['classes'][best]} ({share})"
