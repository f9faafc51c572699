"""What columns looked like when a model was made, in counts by bins; later rows are counted alike.

Bins of numbers have about the same count, and a number that many rows share has a bin of its own.
Words are counted one by one, the rare ones together. Beside them there are bins for missing values
and for what training did not show, so that every row falls into exactly one bin.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

Array = npt.NDArray[Any]
Json = dict[str, Any]

BINS = 20  # of numbers
LEVELS = 40  # words that are counted one by one
SEEN = 10_000  # words up to which all of them are remembered
CHANCES = 20  # classes or labels whose probabilities are counted
QUANTILES = 101  # of numbers, evenly spaced, for distances in the column's own unit
DAY = 86_400e6  # in microseconds
RANGES = {"number", "time"}  # forms whose bins are ranges; moments are counted in days


def learned(training: pl.Series, reference: pl.Series) -> Json:
    """The bins of a measure with the counts of reference rows.

    Args:
        training: of the rows that the model was trained on; what lies beyond them is new.
        reference: of rows that it was not trained on, with which later rows are compared. Both are
            numbers, words, or moments, of which later ones are expected to go on.
    """
    if training.dtype == pl.String:
        about = words(training, reference)
    else:
        form = "number" if training.dtype.is_numeric() else "time"
        there, held = finite(training), finite(reference)
        quantiles = at_quantiles(held if len(held) else there).tolist()
        about = {"form": form, **ranges(there), "quantiles": quantiles}
    about["counts"] = counted(reference, about).tolist()
    return about


def said(decided: pl.DataFrame) -> dict[str, pl.Series]:
    """Measures of predictions: what was decided, and with which probabilities."""
    decision = decided["prediction"]
    whole = decision.cast(pl.Float64 if decision.dtype.is_numeric() else pl.String)
    chances = [n for n in decided.columns if n.startswith("probability_")][:CHANCES]
    return {"prediction": whole, **{name: decided[name].cast(pl.Float64) for name in chances}}


def ranges(there: Array) -> Json:
    """The bins of numbers: their edges, and the lowest and highest of training."""
    low, high = (float(there.min()), float(there.max())) if len(there) else (0.0, 0.0)
    inner = np.quantile(there, np.linspace(0, 1, BINS + 1)[1:-1]) if len(there) else np.zeros(0)
    found, times = np.unique(inner, return_counts=True)
    after = np.nextafter(found[times > 1], np.inf)  # a bin for a number that many rows share
    edges = np.unique(np.concatenate([found, after]))
    return {"low": low, "high": high, "edges": edges.tolist()}


def words(training: pl.Series, reference: pl.Series) -> Json:
    """The bins of words: the commonest, and all that training has shown if they are few."""
    counts = pl.concat([training, reference]).drop_nulls().value_counts(name="count")
    order = counts.sort("count", counts.columns[0], descending=[True, False])
    seen = training.drop_nulls().unique().sort().to_list()
    return {
        "form": "word",
        "levels": order[order.columns[0]].head(LEVELS).to_list(),
        "seen": seen if len(seen) <= SEEN else None,
    }


def bins(about: Json) -> list[str]:
    """Names of the bins, in the order of their counts."""
    if about["form"] not in RANGES:
        return ["missing", "unseen", "other", *about["levels"]]
    edges = [f"{edge:.4g}" for edge in about["edges"]]
    between = [f"{a} to {b}" for a, b in pairwise(edges)]
    spans = [f"up to {edges[0]}", *between, f"from {edges[-1]}"] if edges else ["any"]
    return ["missing", "below", *spans, "above"]


def places(values: pl.Series, about: Json) -> Array:
    """The number of the bin of each value."""
    return of_numbers(values, about) if about["form"] in RANGES else of_words(values, about)


def of_numbers(values: pl.Series, about: Json) -> Array:
    """The bin of each number; what is no finite number counts as missing."""
    found = as_floats(values)
    place = np.searchsorted(np.asarray(about["edges"]), found, side="right") + 2
    place[found < about["low"]] = 1
    place[found > about["high"]] = len(about["edges"]) + 3
    place[~np.isfinite(found)] = 0
    return place


def of_words(values: pl.Series, about: Json) -> Array:
    """The bin of each word; one that training did not show is unseen, if all were remembered."""
    known = {word: number for number, word in enumerate(about["levels"], 3)}
    rare = 1 if about["seen"] is not None else 2
    if about["seen"] is not None:
        known = {**dict.fromkeys(about["seen"], 2), **known}
    names = pl.Series(list(known), dtype=pl.String)
    found = values.replace_strict(
        names, pl.Series(list(known.values())), default=rare, return_dtype=pl.Int64
    )
    place: Array = found.to_numpy(writable=True)
    place[values.is_null().to_numpy()] = 0
    return place


def counted(values: pl.Series, about: Json) -> Array:
    """How many values fall into each bin."""
    return np.bincount(places(values, about), minlength=len(bins(about)))


def is_new(values: pl.Series, about: Json) -> Array:
    """Which values are beyond what training has shown: unseen words, numbers out of its range."""
    place = places(values, about)
    if about["form"] not in RANGES:
        return np.asarray(place == 1)
    return np.asarray((place == 1) | (place == len(about["edges"]) + 3))


def is_far(values: pl.Series, about: Json) -> Array:
    """Which values are unseen words, or lie further off than those of training are apart."""
    if about["form"] not in RANGES:
        return is_new(values, about)
    low, high = about["low"], about["high"]
    apart = (high - low) or abs(high) or 1.0
    found = as_floats(values)
    return np.asarray((found < low - apart) | (found > high + apart))


def finite(values: pl.Series) -> Array:
    """The numbers among values."""
    found = as_floats(values)
    return np.asarray(found[np.isfinite(found)])


def as_floats(values: pl.Series) -> Array:
    """Numbers, or moments in days since 1970; NaN where there is none."""
    if values.dtype.is_numeric():
        return values.cast(pl.Float64).to_numpy()
    moments = values.cast(pl.Datetime("us")).to_physical().cast(pl.Float64)
    return np.asarray(moments.to_numpy() / DAY)


def at_quantiles(values: Array) -> Array:
    """Evenly spaced quantiles from the lowest to the highest; none of no values."""
    return np.quantile(values, np.linspace(0, 1, QUANTILES)) if len(values) else np.zeros(0)
