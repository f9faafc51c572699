"""Piecewise-linear functions: the same as a plain search, and as quick for crowded knots."""

from __future__ import annotations

import numpy as np
import pytest

from fieldcraft.contracts import Array
from fieldcraft.kinds.number.curve import CELLS, MOST_STEPS, Curve

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


def tried(knots: Array) -> Array:
    inside = DRAW.uniform(knots[0], knots[-1], 2_000)
    near = np.concatenate([knots, np.nextafter(knots, -np.inf), np.nextafter(knots, np.inf)])
    return np.concatenate([inside, near, [-1e100, 1e100]])


@pytest.mark.parametrize("name", KNOTS)
def test_a_curve_is_the_straight_line_between_its_knots(name: str) -> None:
    x = KNOTS[name]
    y = np.linspace(-5, 5, len(x))
    values = tried(x)
    with np.errstate(over="ignore", invalid="ignore"):
        wanted = np.interp(values, x, y)
    found = Curve(x, y)(values)
    there = np.isfinite(wanted)
    np.testing.assert_allclose(found[there], wanted[there], atol=1e-6 if name != "tiny" else 4)
    assert np.isfinite(found).all()


def test_a_bent_axis_finds_the_same_values() -> None:
    x = KNOTS["heavy"]
    y = np.linspace(-5, 5, len(x))
    values = tried(x)
    curve = Curve(x, y, np.arcsinh(x))
    np.testing.assert_allclose(curve(values, np.arcsinh(values)), np.interp(values, x, y))
    assert curve.steps <= MOST_STEPS < Curve(x, y).steps  # crowded cells are searched instead


def test_each_value_stands_alone() -> None:
    curve = Curve(KNOTS["normal"], np.linspace(-5, 5, len(KNOTS["normal"])))
    values = DRAW.normal(size=100)
    alone = np.concatenate([curve(values[i : i + 1]) for i in range(100)])
    np.testing.assert_array_equal(curve(values), alone)


def test_knots_of_equal_distance_are_found_in_a_step() -> None:
    assert Curve(KNOTS["even"], KNOTS["even"]).steps == 1
    assert Curve(KNOTS["two"], KNOTS["two"]).steps == 0
    assert np.iinfo(np.int16).max >= CELLS
