"""The one rule as a person would say it."""

from __future__ import annotations

from collections.abc import Sequence

from fieldcraft.core.formatting import format_number, truncated_list
from fieldcraft.core.types import Json

MAX_DESCRIBED_BINS = 8  # that are told


def describe_rule(rule: Json, target_spec: Json, levels: Sequence[str] = ()) -> str:
    """The rule as one line: what each bin of its column says.

    Args:
        rule: values of the state of a rule; outputs in units of the target.
        target_spec: what the task says of the target.
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
    lower_cut = None
    descriptions = []
    for rule_bin in bins:
        descriptions.append(
            f"{describe_bin(rule_bin, lower_cut, levels)} → {describe_outputs(rule_bin['outputs'], target_spec)}"
        )
        lower_cut = rule_bin.get("cut")
    return f"{rule['column']}: {truncated_list(descriptions, MAX_DESCRIBED_BINS)}"


def describe_bin(rule_bin: Json, lower_cut: float | None, levels: Sequence[str]) -> str:
    """Which values a bin holds; `below` is where the bin before it ends."""
    if "missing" in rule_bin:
        return "missing"
    if "code" in rule_bin:
        code = int(rule_bin["code"])
        return "other" if not code else levels[code - 1] if levels else f"level {code}"
    if rule_bin["low"] == rule_bin["high"]:
        return format_value(rule_bin["low"])
    if rule_bin["cut"] is None:
        return "any value" if lower_cut is None else f"above {format_value(lower_cut)}"
    upper_cut = format_value(rule_bin["cut"])
    return (
        f"up to {upper_cut}" if lower_cut is None else f"{format_value(lower_cut)} to {upper_cut}"
    )


def format_value(value: float) -> str:
    """A number with the digits that matter."""
    return format_number(value) if abs(value) >= 1 else f"{value:.4g}"


def describe_outputs(outputs: Sequence[float], target_spec: Json) -> str:
    """What a bin says: the share of yes, the likeliest class, the likely labels, or the mean."""
    if "labels" in target_spec:
        pairs = zip(target_spec["labels"], outputs, strict=True)
        return "+".join(label for label, probability in pairs if probability >= 0.5) or "none"
    if "classes" not in target_spec:
        return format_number(outputs[0])
    class_index = 1 if len(outputs) == 2 else max(range(len(outputs)), key=lambda k: outputs[k])
    probability = f"{100 * outputs[class_index]:.0f} %"
    return (
        probability
        if len(outputs) == 2
        else f"{target_spec['classes'][class_index]} ({probability})"
    )
