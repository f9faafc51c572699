"""What columns looked like when a model was made, in counts by bins; later rows are counted alike.

Bins of numbers have about the same count, and a number that many rows share has a bin of its own.
Words are counted one by one, the rare ones together. Beside them there are bins for missing values
and for what training did not show, so that every row falls into exactly one bin.
"""

from __future__ import annotations

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
BEFORE = {"number": ("missing", "below"), "word": ("missing", "unseen", "other")}
NEW = {"number": ("below", "above"), "word": ("unseen",)}  # bins that training did not fill


def learned(training: pl.Series, reference: pl.Series) -> Json:
    """The bins of a measure with the counts of reference rows.

    Args:
        training: of the rows that the model was trained on; what lies beyond them is new.
        reference: of rows that it was not trained on, with which later rows are compared; numbers
            or words, as in `training`.
    """
    about = words(training, reference) if training.dtype == pl.String else numbers(training)
    about["counts"] = counted(reference, about).tolist()
    if about["form"] == "number":
        there = finite(reference)
        about["quantiles"] = at_quantiles(there if len(there) else finite(training)).tolist()
    return about


def said(decided: pl.DataFrame) -> dict[str, pl.Series]:
    """Measures of predictions: what was decided, and with which probabilities."""
    decision = decided["prediction"]
    whole = decision.cast(pl.Float64 if decision.dtype.is_numeric() else pl.String)
    chances = [n for n in decided.columns if n.startswith("probability_")][:CHANCES]
    return {"prediction": whole, **{name: decided[name].cast(pl.Float64) for name in chances}}


def numbers(training: pl.Series) -> Json:
    """The bins of numbers: their edges, and the lowest and highest of training."""
    there = finite(training)
    low, high = (float(there.min()), float(there.max())) if len(there) else (0.0, 0.0)
    inner = np.quantile(there, np.linspace(0, 1, BINS + 1)[1:-1]) if len(there) else np.zeros(0)
    found, times = np.unique(inner, return_counts=True)
    after = np.nextafter(found[times > 1], np.inf)  # a bin for a number that many rows share
    edges = np.unique(np.concatenate([found, after]))
    return {"form": "number", "low": low, "high": high, "edges": edges.tolist()}


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
    if about["form"] == "word":
        return [*BEFORE["word"], *about["levels"]]
    edges = [f"{edge:.4g}" for edge in about["edges"]]
    spans = [f"{a} to {b}" for a, b in zip(["", *edges], [*edges, ""], strict=True)]
    return [*BEFORE["number"], *spans, "above"]


def places(values: pl.Series, about: Json) -> Array:
    """The number of the bin of each value."""
    return of_words(values, about) if about["form"] == "word" else of_numbers(values, about)


def of_numbers(values: pl.Series, about: Json) -> Array:
    """The bin of each number; what is no finite number counts as missing."""
    found = values.cast(pl.Float64).to_numpy()
    place = np.searchsorted(np.asarray(about["edges"]), found, side="right") + 2
    place[found < about["low"]] = 1
    place[found > about["high"]] = len(about["edges"]) + 3
    place[~np.isfinite(found)] = 0
    return place


def of_words(values: pl.Series, about: Json) -> Array:
    """The bin of each word; one that training did not show is unseen, if all were remembered."""
    known = {word: number + len(BEFORE["word"]) for number, word in enumerate(about["levels"])}
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
    names = bins(about)
    new = [names.index(name) for name in NEW[about["form"]]]
    found: Array = np.isin(places(values, about), new)
    return found


def finite(values: pl.Series) -> Array:
    """The numbers among values."""
    found: Array = values.drop_nulls().cast(pl.Float64).to_numpy()
    kept: Array = found[np.isfinite(found)]
    return kept


def at_quantiles(values: Array) -> Array:
    """Evenly spaced quantiles from the lowest to the highest; none of no values."""
    return np.quantile(values, np.linspace(0, 1, QUANTILES)) if len(values) else np.zeros(0)
