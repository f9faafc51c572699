"""What columns looked like when a model was made, in counts by bins; later rows are counted alike.

Bins of numbers have about the same count, and a number that many rows share has a bin of its own.
Words are counted one by one, the rare ones together. Beside them there are bins for missing values
and for what training did not show, so that every row falls into exactly one bin.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl

from fieldcraft.core.types import Array, Json

N_NUMERIC_BINS = 20  # of numbers
MAX_COUNTED_LEVELS = 40  # words that are counted one by one
MAX_REMEMBERED_LEVELS = 10_000  # words up to which all of them are remembered
MAX_PROBABILITY_COLUMNS = 20  # classes or labels whose probabilities are counted
N_QUANTILES = 101  # of numbers, evenly spaced, for distances in the column's own unit
MICROSECONDS_PER_DAY = 86_400e6  # in microseconds
RANGE_FORMS = {"number", "time"}  # forms whose bins are ranges; moments are counted in days


def fit_reference_profile(training: pl.Series, reference: pl.Series) -> Json:
    """The bins of a measure with the counts of reference rows.

    Args:
        training: of the rows that the model was trained on; what lies beyond them is new.
        reference: of rows that it was not trained on, with which later rows are compared. Both are
            numbers, words, or moments, of which later ones are expected to go on.
    """
    if training.dtype == pl.String:
        profile = level_bins(training, reference)
    else:
        form = "number" if training.dtype.is_numeric() else "time"
        training_values, reference_values = finite_values(training), finite_values(reference)
        quantiles = even_quantiles(
            reference_values if len(reference_values) else training_values
        ).tolist()
        profile = {"form": form, **numeric_bins(training_values), "quantiles": quantiles}
    profile["counts"] = bin_counts(reference, profile).tolist()
    return profile


def prediction_measures(decisions_frame: pl.DataFrame) -> dict[str, pl.Series]:
    """Measures of predictions: what was decided, and with which probabilities."""
    decision = decisions_frame["prediction"]
    decision_values = decision.cast(pl.Float64 if decision.dtype.is_numeric() else pl.String)
    probability_columns = [n for n in decisions_frame.columns if n.startswith("probability_")][
        :MAX_PROBABILITY_COLUMNS
    ]
    return {
        "prediction": decision_values,
        **{name: decisions_frame[name].cast(pl.Float64) for name in probability_columns},
    }


def numeric_bins(values: Array) -> Json:
    """The bins of numbers: their edges, and the lowest and highest of training."""
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
    inner_quantiles = (
        np.quantile(values, np.linspace(0, 1, N_NUMERIC_BINS + 1)[1:-1])
        if len(values)
        else np.zeros(0)
    )
    distinct_edges, edge_counts = np.unique(inner_quantiles, return_counts=True)
    edges_above = np.nextafter(
        distinct_edges[edge_counts > 1], np.inf
    )  # a bin for a number that many rows share
    edges = np.unique(np.concatenate([distinct_edges, edges_above]))
    return {"low": low, "high": high, "edges": edges.tolist()}


def level_bins(training: pl.Series, reference: pl.Series) -> Json:
    """The bins of words: the commonest, and all that training has shown if they are few."""
    counts = pl.concat([training, reference]).drop_nulls().value_counts(name="count")
    by_frequency = counts.sort("count", counts.columns[0], descending=[True, False])
    training_levels = training.drop_nulls().unique().sort().to_list()
    return {
        "form": "word",
        "levels": by_frequency[by_frequency.columns[0]].head(MAX_COUNTED_LEVELS).to_list(),
        "seen": training_levels if len(training_levels) <= MAX_REMEMBERED_LEVELS else None,
    }


def bin_names(profile: Json) -> list[str]:
    """Names of the bins, in the order of their counts."""
    if profile["form"] not in RANGE_FORMS:
        return ["missing", "unseen", "other", *profile["levels"]]
    edges = [f"{edge:.4g}" for edge in profile["edges"]]
    inner_names = [f"{a} to {b}" for a, b in pairwise(edges)]
    range_names = [f"up to {edges[0]}", *inner_names, f"from {edges[-1]}"] if edges else ["any"]
    return ["missing", "below", *range_names, "above"]


def bin_indices(values: pl.Series, profile: Json) -> Array:
    """The number of the bin of each value."""
    return (
        numeric_bin_indices(values, profile)
        if profile["form"] in RANGE_FORMS
        else level_bin_indices(values, profile)
    )


def numeric_bin_indices(values: pl.Series, profile: Json) -> Array:
    """The bin of each number; what is no finite number counts as missing."""
    numbers = as_floats(values)
    indices = np.searchsorted(np.asarray(profile["edges"]), numbers, side="right") + 2
    indices[numbers < profile["low"]] = 1
    indices[numbers > profile["high"]] = len(profile["edges"]) + 3
    indices[~np.isfinite(numbers)] = 0
    return indices


def level_bin_indices(values: pl.Series, profile: Json) -> Array:
    """The bin of each word; one that training did not show is unseen, if all were remembered."""
    index_by_level = {level: index for index, level in enumerate(profile["levels"], 3)}
    index_of_unknown = 1 if profile["seen"] is not None else 2
    if profile["seen"] is not None:
        index_by_level = {**dict.fromkeys(profile["seen"], 2), **index_by_level}
    levels = pl.Series(list(index_by_level), dtype=pl.String)
    mapped = values.replace_strict(
        levels,
        pl.Series(list(index_by_level.values())),
        default=index_of_unknown,
        return_dtype=pl.Int64,
    )
    indices: Array = mapped.to_numpy(writable=True)
    indices[values.is_null().to_numpy()] = 0
    return indices


def bin_counts(values: pl.Series, profile: Json) -> Array:
    """How many values fall into each bin."""
    return np.bincount(bin_indices(values, profile), minlength=len(bin_names(profile)))


def is_unseen(values: pl.Series, profile: Json) -> Array:
    """Which values are beyond what training has shown: unseen words, numbers out of its range."""
    indices = bin_indices(values, profile)
    if profile["form"] not in RANGE_FORMS:
        return np.asarray(indices == 1)
    return np.asarray((indices == 1) | (indices == len(profile["edges"]) + 3))


def is_far_outside(values: pl.Series, profile: Json) -> Array:
    """Which values are unseen words, or lie further off than those of training are apart."""
    if profile["form"] not in RANGE_FORMS:
        return is_unseen(values, profile)
    low, high = profile["low"], profile["high"]
    training_range = (high - low) or abs(high) or 1.0
    numbers = as_floats(values)
    return np.asarray((numbers < low - training_range) | (numbers > high + training_range))


def finite_values(values: pl.Series) -> Array:
    """The numbers among values."""
    numbers = as_floats(values)
    return np.asarray(numbers[np.isfinite(numbers)])


def as_floats(values: pl.Series) -> Array:
    """Numbers, or moments in days since 1970; NaN where there is none."""
    if values.dtype.is_numeric():
        return values.cast(pl.Float64).to_numpy()
    moments = values.cast(pl.Datetime("us")).to_physical().cast(pl.Float64)
    return np.asarray(moments.to_numpy() / MICROSECONDS_PER_DAY)


def even_quantiles(values: Array) -> Array:
    """Evenly spaced quantiles from the lowest to the highest; none of no values."""
    return np.quantile(values, np.linspace(0, 1, N_QUANTILES)) if len(values) else np.zeros(0)
