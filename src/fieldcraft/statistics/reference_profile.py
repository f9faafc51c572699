"""Reference profiles: binned counts of columns at training time, to compare later rows with.

Bins of numbers have about equal counts, and a number that many rows share has a bin of its own.
Categories are counted one by one, rare ones together. There are further bins for missing values and
for values unseen in training, so that every row falls into exactly one bin.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl

from fieldcraft.core.types import Array, Json

N_NUMERIC_BINS = 20
MAX_COUNTED_LEVELS = 40  # categories with a bin of their own
MAX_REMEMBERED_LEVELS = 10_000  # with more categories none counts as unseen
MAX_PROBABILITY_COLUMNS = 20  # classes or labels whose probabilities have a profile
N_QUANTILES = 101  # evenly spaced, for distances in the unit of the column
MICROSECONDS_PER_DAY = 86_400e6
RANGE_TYPES = {"numeric", "temporal"}  # whose bins are ranges; times are in days


def fit_reference_profile(training: pl.Series, reference: pl.Series) -> Json:
    """The bins of a drift statistic, with the counts of the reference rows.

    Args:
        training: values of the training rows, which define the range and the known categories.
        reference: values of rows that the model was not trained on, which are counted. Both are
            numbers, strings, or times.

    Returns:
        ``type``, ``bin_counts``, and ``min``, ``max``, ``bin_edges`` and ``quantiles`` of numbers
        and times, or ``categories`` and ``known_categories`` of strings.
    """
    # The counts are of rows that the model was not trained on, as it is not trained on later rows
    # either: predictions for training rows would differ from theirs by overfitting alone.
    if training.dtype == pl.String:
        profile = level_bins(training, reference)
    else:
        profile_type = "numeric" if training.dtype.is_numeric() else "temporal"
        training_values, reference_values = finite_values(training), finite_values(reference)
        quantiles = even_quantiles(
            reference_values if len(reference_values) else training_values
        ).tolist()
        profile = {"type": profile_type, **numeric_bins(training_values), "quantiles": quantiles}
    profile["bin_counts"] = bin_counts(reference, profile).tolist()
    return profile


def prediction_measures(decisions_frame: pl.DataFrame) -> dict[str, pl.Series]:
    """Drift statistics of predictions: the decision, and the probabilities."""
    decision = decisions_frame["prediction"]
    decision_values = decision.cast(pl.Float64 if decision.dtype.is_numeric() else pl.String)
    probability_columns = [
        name for name in decisions_frame.columns if name.startswith("probability_")
    ][:MAX_PROBABILITY_COLUMNS]
    return {
        "prediction": decision_values,
        **{name: decisions_frame[name].cast(pl.Float64) for name in probability_columns},
    }


def numeric_bins(values: Array) -> Json:
    """The bin edges of numbers, and the range of the training rows."""
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
    inner_quantiles = (
        np.quantile(values, np.linspace(0, 1, N_NUMERIC_BINS + 1)[1:-1])
        if len(values)
        else np.zeros(0)
    )
    distinct_edges, edge_counts = np.unique(inner_quantiles, return_counts=True)
    # A number at two quantiles or more has at least a twentieth of the rows. The next larger float
    # as a further edge gives it a bin of its own, where a change of its frequency shows.
    edges_above = np.nextafter(distinct_edges[edge_counts > 1], np.inf)
    edges = np.unique(np.concatenate([distinct_edges, edges_above]))
    return {"min": low, "max": high, "bin_edges": edges.tolist()}


def level_bins(training: pl.Series, reference: pl.Series) -> Json:
    """The most frequent categories, and all of the training rows unless they are too many."""
    # Ties are ordered by name: otherwise the bins would depend on the order of the rows.
    counts = pl.concat([training, reference]).drop_nulls().value_counts(name="count")
    by_frequency = counts.sort("count", counts.columns[0], descending=[True, False])
    training_levels = training.drop_nulls().unique().sort().to_list()
    return {
        "type": "categorical",
        "categories": by_frequency[by_frequency.columns[0]].head(MAX_COUNTED_LEVELS).to_list(),
        "known_categories": training_levels
        if len(training_levels) <= MAX_REMEMBERED_LEVELS
        else None,
    }


def bin_names(profile: Json) -> list[str]:
    """The names of the bins, in the order of their counts."""
    if profile["type"] not in RANGE_TYPES:
        return ["missing", "unseen", "other", *profile["categories"]]
    edges = [f"{edge:.4g}" for edge in profile["bin_edges"]]
    inner_names = [f"{a} to {b}" for a, b in pairwise(edges)]
    range_names = [f"up to {edges[0]}", *inner_names, f"from {edges[-1]}"] if edges else ["any"]
    return ["missing", "below_min", *range_names, "above_max"]


def bin_indices(values: pl.Series, profile: Json) -> Array:
    """The index of the bin of each value."""
    return (
        numeric_bin_indices(values, profile)
        if profile["type"] in RANGE_TYPES
        else level_bin_indices(values, profile)
    )


def numeric_bin_indices(values: pl.Series, profile: Json) -> Array:
    """The index of the bin of each number; one that is not finite counts as missing."""
    numbers = as_floats(values)
    indices = np.searchsorted(np.asarray(profile["bin_edges"]), numbers, side="right") + 2
    indices[numbers < profile["min"]] = 1
    indices[numbers > profile["max"]] = len(profile["bin_edges"]) + 3
    indices[~np.isfinite(numbers)] = 0
    return indices


def level_bin_indices(values: pl.Series, profile: Json) -> Array:
    """The index of the bin of each category; none is unseen if training had too many to list."""
    index_by_level = {level: index for index, level in enumerate(profile["categories"], 3)}
    index_of_unknown = 1 if profile["known_categories"] is not None else 2
    if profile["known_categories"] is not None:
        index_by_level = {**dict.fromkeys(profile["known_categories"], 2), **index_by_level}
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
    """The number of values in each bin."""
    return np.bincount(bin_indices(values, profile), minlength=len(bin_names(profile)))


def is_unseen(values: pl.Series, profile: Json) -> Array:
    """Whether each value is an unseen category, or outside the range of the training rows."""
    indices = bin_indices(values, profile)
    if profile["type"] not in RANGE_TYPES:
        return np.asarray(indices == 1)
    return np.asarray((indices == 1) | (indices == len(profile["bin_edges"]) + 3))


def is_far_outside(values: pl.Series, profile: Json) -> Array:
    """Whether each value is an unseen category, or further outside the range than it is wide."""
    if profile["type"] not in RANGE_TYPES:
        return is_unseen(values, profile)
    low, high = profile["min"], profile["max"]
    # The range of a constant column is 0; then twice the constant, or 1 for 0, is far.
    training_range = (high - low) or abs(high) or 1.0
    numbers = as_floats(values)
    return np.asarray((numbers < low - training_range) | (numbers > high + training_range))


def finite_values(values: pl.Series) -> Array:
    """The finite numbers among values."""
    numbers = as_floats(values)
    return np.asarray(numbers[np.isfinite(numbers)])


def as_floats(values: pl.Series) -> Array:
    """Numbers, or times in days since 1970; NaN where missing."""
    if values.dtype.is_numeric():
        return values.cast(pl.Float64).to_numpy()
    microseconds = values.cast(pl.Datetime("us")).to_physical().cast(pl.Float64)
    return np.asarray(microseconds.to_numpy() / MICROSECONDS_PER_DAY)


def even_quantiles(values: Array) -> Array:
    """Evenly spaced quantiles from the minimum to the maximum; none without values."""
    return np.quantile(values, np.linspace(0, 1, N_QUANTILES)) if len(values) else np.zeros(0)
