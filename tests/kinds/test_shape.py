"""What is learned of one column of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fieldcraft.kinds.number.shape import FAR_OUT, LARGEST, far_out, fill_of, learn_shape

NORMAL = np.random.default_rng(0).normal(50, 20, 2_000)
SCALES = ["quantile", "standard", "robust", "minmax", "none"]


@pytest.mark.parametrize("scale", SCALES)
def test_networks_are_led_one_training_range_beyond_a_straight_scale_at_most(scale: str) -> None:
    shape = learn_shape(NORMAL, {"scale": scale})
    ends = shape.features(np.array([-1e100, NORMAL.min(), NORMAL.max(), 1e100]))[0]
    if scale == "quantile":
        assert ends[0] == ends[1] < ends[2] == ends[3]
    else:
        assert np.diff(ends) == pytest.approx(np.full(3, ends[2] - ends[1]))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(
    "column",
    [[1e100, -1e100, 0], [1e-320, 2e-320, 3e-320], [7], [np.nan], [np.nan, 3, 4], [0, 1e100]],
)
def test_every_scale_gives_numbers_a_network_can_add_up(scale: str, column: list[float]) -> None:
    shape = learn_shape(np.array(column, dtype=float), {"scale": scale})
    for feature in shape.features(np.array([0.0, 1e100, -1e100, np.nan, 1e-320])):
        assert (np.abs(feature) <= LARGEST).all()


@pytest.mark.parametrize("options", [{}, {"scale": "minmax"}, {"impute": "mode"}])
def test_a_column_that_hardly_changes_is_flat(options: dict[str, Any]) -> None:
    flat = learn_shape(1e6 + 1e-3 * NORMAL / NORMAL.max(), options)
    assert flat.flat
    assert flat.features(NORMAL) == []


def test_only_far_out_values_are_cut_off() -> None:
    low, high = far_out(np.array([0.0, 1.0, 2.0, 3.0, 4.0, 1e6]))
    first, third = np.quantile([0.0, 1.0, 2.0, 3.0, 4.0, 1e6], [0.25, 0.75])
    assert (low, high) == (first - FAR_OUT * 2.5, third + FAR_OUT * 2.5)
    assert far_out(np.array([0.0, 0.0, 0.0, 0.0, 9.0])) == (-1e100, 1e100)  # nearly all alike


def test_far_out_values_do_not_move_the_fill_or_the_scale() -> None:
    column = np.concatenate([NORMAL, [1e9]])
    cut, whole = (learn_shape(column, {"scale": "standard", "impute": "mean", **clip})
                  for clip in ({"clip": "auto"}, {}))  # fmt: skip
    assert cut.spread == pytest.approx(NORMAL.std(), rel=0.05)
    assert cut.fill == pytest.approx(NORMAL.mean(), rel=0.05)
    assert whole.spread > 1e6


def test_the_smallest_of_equally_common_values_is_the_mode() -> None:
    assert fill_of(np.array([3.0, 1.0, 3.0, 1.0, 2.0]), "mode") == 1
