"""The check that finds two units in one column."""

from __future__ import annotations

import numpy as np
import pytest

from fieldcraft.checks.units import CHECK
from tests.checks.views import data_view, found

DRAW = np.random.default_rng(0)
HEIGHTS = DRAW.normal(1.75, 0.09, 500)
ODD = np.arange(500) % 8 == 0


@pytest.mark.parametrize("factor", [100, 1000, 39.37, 2.54, 0.01, 60])
def test_values_in_another_unit_are_noticed(factor: float) -> None:
    cells = np.where(ODD, HEIGHTS * factor, HEIGHTS)
    (finding,) = found(CHECK, data_view({"a": cells}, a="number"))
    assert (finding.severity, finding.column, finding.fixes) == ("warn", "a", ())
    assert (finding.evidence["few"], finding.evidence["many"]) == (63, 437)


@pytest.mark.parametrize(
    "values",
    [
        HEIGHTS,
        DRAW.gamma(0.3, 100, 500) + 1e-9,
        np.where(ODD, HEIGHTS * 20, HEIGHTS),  # no unit that we know
        np.where(ODD, 0.0, HEIGHTS),
        np.where(np.arange(500) < 3, HEIGHTS * 100, HEIGHTS),  # a few: for the check `outliers`
        np.where(ODD, DRAW.gamma(0.5, 200, 500) + 20, HEIGHTS),  # another shape
    ],
    ids=["one heap", "skewed", "odd factor", "zeros", "three values", "another shape"],
)
def test_other_columns_are_not_reported(values: np.ndarray) -> None:
    assert found(CHECK, data_view({"a": values}, a="number")) == []
