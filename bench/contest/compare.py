"""Wins, ties and time ratios between two methods, from lines of results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, geometric_mean, stdev
from typing import Any

from contest.score import GREATER_IS_BETTER

ResultLine = Mapping[str, Any]
Results = dict[str, dict[str, dict[int, ResultLine]]]  # by table, method and seed


def group_results(lines: Iterable[ResultLine]) -> Results:
    """Return the lines with metrics; of two lines for the same round the later one counts."""
    results: Results = {}
    for line in lines:
        if "error" not in line:
            methods = results.setdefault(line["table"], {})
            methods.setdefault(line["method"], {})[line["seed"]] = line
    return results


def pair_lines(
    methods: Mapping[str, Mapping[int, ResultLine]], a: str, b: str
) -> list[tuple[ResultLine, ResultLine]]:
    """Return the lines of two methods for their common seeds."""
    lines_a, lines_b = methods.get(a, {}), methods.get(b, {})
    return [(lines_a[seed], lines_b[seed]) for seed in sorted(lines_a.keys() & lines_b.keys())]


def score_pairs(
    pairs: Sequence[tuple[ResultLine, ResultLine]], metric: str, published: bool
) -> float:
    """Return 1 for a win of the first method, 0 for a loss, 0.5 for a tie.

    A tie is a mean difference within one standard error: of the differences over seeds or, with one
    seed or the same test rows for every seed, over resamples of the test rows.

    >>> def line(auc):
    ...     return {"metrics": {"roc_auc": auc}, "resampled": [auc - 0.01, auc + 0.01]}
    >>> score_pairs([(line(0.90), line(0.85)), (line(0.92), line(0.86))], "roc_auc", False)
    1.0
    >>> score_pairs([(line(0.90), line(0.85)), (line(0.82), line(0.86))], "roc_auc", False)
    0.5
    """
    sign = 1.0 if metric in GREATER_IS_BETTER else -1.0
    gains = [sign * (a["metrics"][metric] - b["metrics"][metric]) for a, b in pairs]
    if len(gains) > 1 and not published:
        error = stdev(gains) / len(gains) ** 0.5
    else:
        resampled_differences = zip(*(bootstrap_differences(a, b) for a, b in pairs), strict=True)
        error = stdev(fmean(differences) for differences in resampled_differences)
    gain = fmean(gains)
    return 0.5 if abs(gain) <= error else float(gain > 0)


def bootstrap_differences(a: ResultLine, b: ResultLine) -> list[float]:
    """Return the differences of two methods on each resample."""
    return [x - y for x, y in zip(a["resampled"], b["resampled"], strict=True)]


def time_ratio(pairs: Sequence[tuple[ResultLine, ResultLine]]) -> float:
    """Return the training time of the first method as a multiple of the second, over seeds."""
    return geometric_mean(a["seconds"] / max(b["seconds"], 0.001) for a, b in pairs)
