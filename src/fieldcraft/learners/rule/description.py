"""Describe the one-rule baseline in one line of text."""

from __future__ import annotations

from collections.abc import Sequence

from fieldcraft.core.formatting import format_number, truncated_list
from fieldcraft.core.types import Json

MAX_DESCRIBED_BINS = 8


def describe_rule(rule: Json, target_spec: Json, levels: Sequence[str] = ()) -> str:
    """Describe a rule in one line: the outputs of each bin of its column.

    Args:
        rule: values of the model's state, with outputs in units of the target.
        target_spec: the task's description of the target.
        levels: names of the levels of the column, the first one for code 1.

    >>> bins = [{"level_code": 1, "rows": 70, "outputs": [0.6, 0.4]},
    ...         {"level_code": 2, "rows": 90, "outputs": [0.9, 0.1]}]
    >>> rule = {"column": "contract", "n_levels": 2, "bins": bins}
    >>> describe_rule(rule, {"classes": ["no", "yes"]}, ["monthly", "yearly"])
    'contract: yearly → 10 %, monthly → 40 %'
    """
    bins = rule["bins"]
    if rule["n_levels"]:  # levels have no order, so the largest bin comes first
        bins = sorted(bins, key=lambda rule_bin: -int(rule_bin["rows"]))
    lower_edge = None
    descriptions = []
    for rule_bin in bins:
        values = describe_bin(rule_bin, lower_edge, levels)
        descriptions.append(f"{values} → {describe_outputs(rule_bin['outputs'], target_spec)}")
        lower_edge = rule_bin.get("upper_edge")
    return f"{rule['column']}: {truncated_list(descriptions, MAX_DESCRIBED_BINS)}"


def describe_bin(rule_bin: Json, lower_edge: float | None, levels: Sequence[str]) -> str:
    """Describe the values of a bin; `lower_edge` is the upper edge of the previous bin."""
    if "missing" in rule_bin:
        return "missing"
    if "level_code" in rule_bin:
        code = int(rule_bin["level_code"])
        return "other" if not code else levels[code - 1] if levels else f"level {code}"
    if rule_bin["min"] == rule_bin["max"]:
        return format_value(rule_bin["min"])
    if rule_bin["upper_edge"] is None:
        return "any value" if lower_edge is None else f"above {format_value(lower_edge)}"
    upper_edge = format_value(rule_bin["upper_edge"])
    if lower_edge is None:
        return f"up to {upper_edge}"
    return f"{format_value(lower_edge)} to {upper_edge}"


def format_value(value: float) -> str:
    """Format a number with its significant digits."""
    return format_number(value) if abs(value) >= 1 else f"{value:.4g}"


def describe_outputs(outputs: Sequence[float], target_spec: Json) -> str:
    """Describe the outputs: positive probability, top class, likely labels, or the mean."""
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
