"""Piecewise-linear functions equal `np.interp`, and are fast for crowded knots."""

from __future__ import annotations

import numpy as np
import pytest

from fieldcraft.core.types import Array
from fieldcraft.kinds.number.interpolation import MAX_LOOKUP_STEPS, N_GRID_CELLS, LinearInterpolator

DRAW = np.random.default_rng(0)
KNOTS = {
    "normal": np.unique(DRAW.normal(size=1_000)),
    "even": np.arange(50.0),
    "heavy": np.unique(np.exp(3 * DRAW.normal(size=1_000))),
    "two": np.array([-1.0, 4.0]),
    "far": 1.6e9 + np.unique(DRAW.uniform(size=500)),
    "tiny": np.array([0.0, 1e-320, 1e-310, 5.0]),
    "huge": np.array([-1e100, 0.0, 3.0, 1e100]),
}


def probe_points(knots: Array) -> Array:
    random_points = DRAW.uniform(knots[0], knots[-1], 2_000)
    points_near_knots = np.concatenate(
        [knots, np.nextafter(knots, -np.inf), np.nextafter(knots, np.inf)]
    )
    return np.concatenate([random_points, points_near_knots, [-1e100, 1e100]])


@pytest.mark.parametrize("name", KNOTS)
def test_interpolation_equals_numpy(name: str) -> None:
    x = KNOTS[name]
    y = np.linspace(-5, 5, len(x))
    values = probe_points(x)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = np.interp(values, x, y)
    result = LinearInterpolator(x, y)(values)
    there = np.isfinite(expected)
    np.testing.assert_allclose(result[there], expected[there], atol=1e-6 if name != "tiny" else 4)
    assert np.isfinite(result).all()


def test_a_transformed_axis_gives_the_same_values() -> None:
    x = KNOTS["heavy"]
    y = np.linspace(-5, 5, len(x))
    values = probe_points(x)
    curve = LinearInterpolator(x, y, np.arcsinh(x))
    np.testing.assert_allclose(curve(values, np.arcsinh(values)), np.interp(values, x, y))
    assert (
        curve.lookup_steps <= MAX_LOOKUP_STEPS < LinearInterpolator(x, y).lookup_steps
    )  # crowded cells are searched instead


def test_values_are_interpolated_independently() -> None:
    curve = LinearInterpolator(KNOTS["normal"], np.linspace(-5, 5, len(KNOTS["normal"])))
    values = DRAW.normal(size=100)
    alone = np.concatenate([curve(values[i : i + 1]) for i in range(100)])
    np.testing.assert_array_equal(curve(values), alone)


def test_equidistant_knots_need_one_lookup_step() -> None:
    assert LinearInterpolator(KNOTS["even"], KNOTS["even"]).lookup_steps == 1
    assert LinearInterpolator(KNOTS["two"], KNOTS["two"]).lookup_steps == 0
    assert np.iinfo(np.int16).max >= N_GRID_CELLS
