"""The fitted transform of a numeric column."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fieldcraft.kinds.number.transform import (
    CLIP_IQR_FACTOR,
    MAX_ABS_NETWORK_INPUT,
    compute_clip_bounds,
    compute_fill_value,
    fit_number_transform,
)

NORMAL = np.random.default_rng(0).normal(50, 20, 2_000)
SCALES = ["quantile", "standard", "robust", "minmax", "none"]


@pytest.mark.parametrize("scale", SCALES)
def test_linear_scales_extrapolate_by_one_training_range_at_most(scale: str) -> None:
    shape = fit_number_transform(NORMAL, {"scale": scale})
    ends = shape.compute_features(np.array([-1e100, NORMAL.min(), NORMAL.max(), 1e100]))[0]
    if scale == "quantile":
        assert ends[0] == ends[1] < ends[2] == ends[3]
    else:
        assert np.diff(ends) == pytest.approx(np.full(3, ends[2] - ends[1]))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(
    "column",
    [[1e100, -1e100, 0], [1e-320, 2e-320, 3e-320], [7], [np.nan], [np.nan, 3, 4], [0, 1e100]],
)
def test_every_scale_gives_bounded_numbers(scale: str, column: list[float]) -> None:
    shape = fit_number_transform(np.array(column, dtype=float), {"scale": scale})
    for feature in shape.compute_features(np.array([0.0, 1e100, -1e100, np.nan, 1e-320])):
        assert (np.abs(feature) <= MAX_ABS_NETWORK_INPUT).all()


@pytest.mark.parametrize("options", [{}, {"scale": "minmax"}, {"impute": "mode"}])
def test_nearly_constant_columns_have_no_features(options: dict[str, Any]) -> None:
    flat = fit_number_transform(1e6 + 1e-3 * NORMAL / NORMAL.max(), options)
    assert flat.is_constant
    assert flat.compute_features(NORMAL) == []


def test_clip_bounds_are_far_beyond_the_quartiles() -> None:
    low, high = compute_clip_bounds(np.array([0.0, 1.0, 2.0, 3.0, 4.0, 1e6]))
    first, third = np.quantile([0.0, 1.0, 2.0, 3.0, 4.0, 1e6], [0.25, 0.75])
    assert (low, high) == (first - CLIP_IQR_FACTOR * 2.5, third + CLIP_IQR_FACTOR * 2.5)
    assert compute_clip_bounds(np.array([0.0, 0.0, 0.0, 0.0, 9.0])) == (
        -1e100,
        1e100,
    )  # nearly all alike


def test_clipped_outliers_do_not_affect_fill_value_and_scale() -> None:
    column = np.concatenate([NORMAL, [1e9]])
    cut, whole = (fit_number_transform(column, {"scale": "standard", "impute": "mean", **clip})
                  for clip in ({"clip": "auto"}, {}))  # fmt: skip
    assert cut.scale == pytest.approx(NORMAL.std(), rel=0.05)
    assert cut.fill_value == pytest.approx(NORMAL.mean(), rel=0.05)
    assert whole.scale > 1e6


def test_the_smallest_of_tied_values_is_the_mode() -> None:
    assert compute_fill_value(np.array([3.0, 1.0, 3.0, 1.0, 2.0]), "mode") == 1
