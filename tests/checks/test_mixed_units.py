"""The check that finds two units in one column."""

from __future__ import annotations

import numpy as np
import pytest

from fieldcraft.checks.mixed_units import CHECK, split_by_unit
from tests.checks.contexts import data_context, run_check

DRAW = np.random.default_rng(0)
HEIGHTS = DRAW.normal(1.75, 0.09, 500)
ODD = np.arange(500) % 8 == 0


@pytest.mark.parametrize("factor", [100, 1000, 39.37, 2.54, 0.01, 60])
def test_values_in_another_unit_are_reported(factor: float) -> None:
    cells = np.where(ODD, HEIGHTS * factor, HEIGHTS)
    (finding,) = run_check(CHECK, data_context({"a": cells}, a="number"))
    assert (finding.severity, finding.column, finding.fixes) == ("warning", "a", ())
    assert (finding.evidence["minority_rows"], finding.evidence["majority_rows"]) == (63, 437)


@pytest.mark.parametrize(
    "values",
    [
        HEIGHTS,
        DRAW.gamma(0.3, 100, 500) + 1e-9,
        np.where(ODD, HEIGHTS * 20, HEIGHTS),  # not a known conversion factor
        np.where(ODD, 0.0, HEIGHTS),
        np.where(np.arange(500) < 3, HEIGHTS * 100, HEIGHTS),  # few values are outliers
        np.where(ODD, DRAW.gamma(0.5, 200, 500) + 20, HEIGHTS),  # another shape
    ],
    ids=["one cluster", "skewed", "odd factor", "zeros", "three values", "another shape"],
)
def test_other_columns_are_not_reported(values: np.ndarray) -> None:
    assert run_check(CHECK, data_context({"a": values}, a="number")) == []


def cluster(rows: int, width: float, middle: float = 0.0) -> np.ndarray:
    """Return log-uniform numbers whose interquartile range has this width."""
    return 10 ** (middle + 2 * width * (np.linspace(0, 1, rows) - 0.5))


@pytest.mark.parametrize(
    ("low", "high", "is_split"),
    [
        (cluster(90, 0.1), cluster(10, 0.1, 2), True),
        (cluster(89, 0.1), cluster(10, 0.1, 2), False),  # a hundred values
        (cluster(91, 0.1), cluster(9, 0.1, 2), False),  # ten in the smaller cluster
        (cluster(10, 0.1), cluster(990, 0.1, 2), True),  # one in a hundred
        (cluster(10, 0.1), cluster(991, 0.1, 2), False),
        (cluster(60, 0.2), cluster(60, 0.39, 3), False),  # too wide
        (cluster(60, 0.2), cluster(60, 0.34, 3), True),
        (cluster(60, 0.1), cluster(60, 0.19, 2), True),
        (cluster(60, 0.1), cluster(60, 0.21, 2), False),  # more than twice as wide
        (cluster(60, 0.1), cluster(60, 0.1, np.log10(114)), True),
        (cluster(60, 0.1), cluster(60, 0.1, np.log10(116)), False),  # no unit that is known
        (cluster(60, 0.1), cluster(60, 0.1, np.log10(86)), True),
        (cluster(60, 0.1), cluster(60, 0.1, np.log10(84)), False),
        (cluster(60, 0.04), cluster(60, 0.04, np.log10(2.54)), True),
        (cluster(60, 0.06), cluster(60, 0.06, np.log10(2.54)), False),  # no gap of .3 between them
        (np.ones(60), np.full(60, 100.0), False),  # two values are no clusters
    ],
)
def test_thresholds_of_two_clusters(low: np.ndarray, high: np.ndarray, is_split: bool) -> None:
    values = np.concatenate([high, low])
    clusters = split_by_unit(values)
    assert (clusters is not None) is is_split
    if clusters is not None:
        np.testing.assert_allclose(clusters[0], np.sort(low))
        np.testing.assert_allclose(clusters[1], np.sort(high))


@pytest.mark.parametrize("factor", [2.54, 12, 39.37, 60, 100, 1_000, 3_600, 10_000, 1_000_000])
def test_the_conversion_factor_is_reported(factor: float) -> None:
    clusters = split_by_unit(np.concatenate([cluster(100, 0.04), factor * cluster(100, 0.04)]))
    assert clusters is not None
    assert clusters[2] == factor
    assert split_by_unit(np.append(cluster(200, 0.04), 0.0)) is None


def test_the_minority_comes_first_with_both_medians() -> None:
    cells = np.concatenate([np.linspace(150, 190, 20), np.linspace(1.5, 1.9, 201)])
    (finding,) = run_check(CHECK, data_context({"a": cells}, a="number"))
    assert "20 values around 170, 201 around 1.7" in finding.title
    assert finding.evidence == {"minority_rows": 20, "majority_rows": 201, "factor": 100}
