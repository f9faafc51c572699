"""The one rule in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fieldcraft.core import catalog
from fieldcraft.learners.rule.description import describe_rule
from tests.learners.jobs import make_job

DRAW = np.random.default_rng(0)
ROWS = 1_000
X = np.round(DRAW.uniform(0, 10, ROWS), 1)


def describe_fitted_rule(x: Any, y: Any, levels: tuple[int, ...] = (0,)) -> dict[str, Any]:
    job = make_job("rule", np.asarray(x)[:, None], y, levels)
    values: dict[str, Any] = catalog.load_plugin("learners", "rule").fit(job).state().values
    return values


def test_numbers_are_told_as_ranges() -> None:
    result = describe_fitted_rule(
        np.where(np.arange(ROWS) % 10 == 0, np.nan, X), (X > 5).astype(np.int64)
    )
    text = describe_rule(result, {"classes": ["no", "yes"]})
    assert text.startswith("c0: up to ")
    assert ", above " in text
    assert ", missing → " in text
    assert text.count("%") == len(result["bins"])


def test_a_bin_of_one_value_is_told_by_the_value() -> None:
    result = describe_fitted_rule(np.arange(ROWS) % 2, np.arange(ROWS) % 2)
    assert describe_rule(result, {"classes": ["no", "yes"]}) == "c0: 0 → 0 %, 1 → 100 %"


def test_levels_are_told_by_name_the_commonest_first() -> None:
    codes = np.repeat([1, 2, 2, 0], ROWS // 4)
    codes = DRAW.permutation(codes)
    result = describe_fitted_rule(codes, (codes == 1).astype(np.int64), (2,))
    target_spec = {"classes": ["no", "yes"]}
    shares = [f"{100 * one['outputs'][1]:.0f} %" for one in result["bins"]]  # of codes 0, 1, 2
    text = describe_rule(result, target_spec, ["month", "year"])
    assert text.startswith(f"c0: year → {shares[2]}, ")
    assert f"month → {shares[1]}" in text
    assert f"other → {shares[0]}" in text
    assert "level 2 → " in describe_rule(result, target_spec)


@pytest.mark.parametrize(
    ("outputs", "target_spec", "expected_text"),
    [
        ([0.2, 0.5, 0.3], {"classes": ["a", "b", "c"]}, "b (50 %)"),
        ([0.9, 0.1, 0.6], {"labels": ["calm", "sad", "loud"]}, "calm+loud"),
        ([0.1, 0.2], {"labels": ["calm", "sad"]}, "none"),
        ([123_456.7], {}, "123,457"),
    ],
)
def test_each_task_says_what_matters_to_it(
    outputs: list[float], target_spec: dict[str, Any], expected_text: str
) -> None:
    bins = [{"min": 0.0, "max": 9.0, "upper_edge": None, "rows": 9, "outputs": outputs}]
    assert (
        describe_rule({"column": "x", "n_levels": 0, "bins": bins}, target_spec)
        == f"x: any value → {expected_text}"
    )


def test_many_bins_are_cut_short() -> None:
    bins = [{"level_code": i, "rows": 100 - i, "outputs": [0.5, 0.5]} for i in range(30)]
    result = {"column": "x", "n_levels": 30, "bins": bins}
    text = describe_rule(result, {"classes": ["no", "yes"]})
    assert text.endswith(", ...")
    assert text.count("%") == 8
