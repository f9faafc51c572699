"""Wins, ties and time ratios between two methods, from lines of results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, geometric_mean, stdev
from typing import Any

from contest.score import GREATER_IS_BETTER

Line = Mapping[str, Any]
Results = dict[str, dict[str, dict[int, Line]]]  # by table, method and seed


def gather(lines: Iterable[Line]) -> Results:
    """The lines that hold figures; of two for the same round the later one counts."""
    found: Results = {}
    for line in lines:
        if "error" not in line:
            methods = found.setdefault(line["table"], {})
            methods.setdefault(line["method"], {})[line["seed"]] = line
    return found


def both(methods: Mapping[str, Mapping[int, Line]], a: str, b: str) -> list[tuple[Line, Line]]:
    """The lines of two methods for the seeds that both have."""
    mine, theirs = methods.get(a, {}), methods.get(b, {})
    return [(mine[seed], theirs[seed]) for seed in sorted(mine.keys() & theirs.keys())]


def decide(pairs: Sequence[tuple[Line, Line]], metric: str, published: bool) -> float:
    """1 for a win of the first, 0 for a loss, a half for a tie.

    A tie is a mean difference within one standard error: of the differences over seeds; with one
    seed, or test rows that are the same for every seed, over resamples of the test rows.

    >>> def line(auc):
    ...     return {"metrics": {"roc_auc": auc}, "resampled": [auc - 0.01, auc + 0.01]}
    >>> decide([(line(0.90), line(0.85)), (line(0.92), line(0.86))], "roc_auc", False)
    1.0
    >>> decide([(line(0.90), line(0.85)), (line(0.82), line(0.86))], "roc_auc", False)
    0.5
    """
    sign = 1.0 if metric in GREATER_IS_BETTER else -1.0
    gains = [sign * (a["metrics"][metric] - b["metrics"][metric]) for a, b in pairs]
    if len(gains) > 1 and not published:
        error = stdev(gains) / len(gains) ** 0.5
    else:
        draws = zip(*(differences(a, b) for a, b in pairs), strict=True)
        error = stdev(fmean(draw) for draw in draws)
    gain = fmean(gains)
    return 0.5 if abs(gain) <= error else float(gain > 0)


def differences(a: Line, b: Line) -> list[float]:
    """How far apart two methods are on each resample."""
    return [x - y for x, y in zip(a["resampled"], b["resampled"], strict=True)]


def time_ratio(pairs: Sequence[tuple[Line, Line]]) -> float:
    """How many times as long the first takes to train as the second, over seeds."""
    return geometric_mean(a["seconds"] / max(b["seconds"], 0.001) for a, b in pairs)
